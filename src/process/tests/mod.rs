//! Tests of the whole floor: recordings of a real server, the table of the contract row by row, and laws.

mod documented;
mod folded;
mod health;
mod hostile;
mod intents;
mod laws;
mod recording;
mod replay;
mod runs_between;
mod score;
mod stage;
mod table_ends;
mod table_rows;
mod world;
