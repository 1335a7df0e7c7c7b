//! Tests of the whole floor: recordings of a real server, the table of the contract row by row, and laws.

mod recording;
mod replay;
mod score;
