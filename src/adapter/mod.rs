//! The adapter: what was seen becomes told, durably, exactly once.
//!
//! It is an [`Outlet`](crate::observation::outlet::Outlet), generic over the broker
//! ([`EventStore`](crate::event::store::EventStore)) and over the domain ([`Tell`](crate::event::tell::Tell),
//! [`Rows`](crate::event::tell::Rows)): it does not know what a process is, nor what JetStream is.
//!
//! Everything rests on one idea. The *head* of a source, the table of what was last told, lies in the stream beside the
//! events, and each commit moves both at once, under the condition that nobody else moved the head. So there is nothing
//! to agree on after a crash: the head says what has been told, a look says what is, and the difference is what remains
//! to be told. Two adapters on one source are correct for the same reason: one of them wins each time, and the other
//! begins again from the winner's head.
//!
//! | file | what it answers |
//! |---|---|
//! | [`start`] | what does the head say, and may we go on from it? |
//! | [`identity`] | is our server the one whose head that is? |
//! | `report` | what does the runtime's report ask for? |
//! | `frame` | what does a report tell, in which order? |
//! | `dress` | how is an event of the source itself worded? |
//! | [`gap`] | which stretch was nobody's, and what is said of it? |
//! | `pending` | what was taken and is not acknowledged? |
//! | `opening` | what does an adapter go on with from a head? |
//! | `spool` | how does what waits lie on the disk? |
//! | `resume` | how does an adapter go on from its spool? |
//! | `late` | how does one begin while the broker is away? |
//! | `table` | which shards of the head does a commit write? |
//! | `keep` | would the stream drop a part of the head? |
//! | [`commit`] | what does the broker's answer mean? |
//! | `settle` | what became of a commit whose answer is missing, and who was faster? |
//! | `standby` | who looks, where several adapters could? |
//! | `superseded` | what is lost when somebody else was faster? |
//! | [`pulse`] | what does an adapter show of itself? |
//! | [`live`] | the same without a broker: nothing is kept |
//!
//! What it must not do: print (it reports [`Notice`](settings::Notice)s), spawn, look at a source, or conclude anything
//! from a failed look but that the source cannot be seen. Nothing is acknowledged by hope: as long as a commit's outcome
//! is unknown, the head is read before the next.

mod block;
mod dress;
mod frame;
mod keep;
mod late;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
mod opening;
mod pending;
mod report;
mod resume;
mod script;
mod settle;
mod spool;
mod standby;
mod superseded;
mod table;
mod vigil;

pub mod commit;
pub mod error;
pub mod gap;
pub mod identity;
pub mod live;
pub mod pulse;
pub mod settings;
pub mod start;

#[cfg(test)]
mod tests;
