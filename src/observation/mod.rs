//! The ground floor: looking at anything, again and again, and telling what changed.
//!
//! A [`SourceProvider`] says what there is to look at. An [`Observer`] looks, borrows what it
//! remembered and *proposes* a [`Step`]: the next state and the events between the two. The
//! [`ObservationRuntime`] offers the step to the one durable [`Outlet`]; only when that has taken it
//! do state, snapshot, history and live viewers move, in this order. So a look that fails, hangs,
//! panics or is dropped loses nothing: the next one is compared with what was last told. Readers
//! hold an [`ObservationHandle`], never wait, and never get a value without its [`Freshness`]. A
//! [`Fleet`] runs one runtime for each source, so that a slow source holds back nobody.
//!
//! What must not be here: any word of what is looked at, any wire, any file, any terminal. The wall
//! clock is handed in; `schedule`, `cadence`, `history`, `delta` and `freshness` see no clock at
//! all. Nothing spawns in a constructor: whoever calls `run` owns the task, the token and the join.
//!
//! | file | what |
//! |---|---|
//! | `source` | what is looked at, and who says so |
//! | `observer` | who looks: [`Observer`], [`Step`] |
//! | `outlet` | who takes responsibility for what was seen: [`Outlet`], [`Report`], [`Answer`] |
//! | `schedule`, `cadence` | how often; pure |
//! | `delta`, `history` | what one look changed, and the bounded ring of it; pure |
//! | `freshness` | how old a value is, computed when it is read; pure |
//! | `board` | what the loop writes and the handles read |
//! | `handle` | reading, following, nudging, holding |
//! | `gate`, `standstill` | looks held back by a reader, or by the outlet |
//! | `refresh`, `shutdown` | asking the provider; ending in time |
//! | `builder`, `runtime`, `look`, `hooks`, `ended` | the loop |
//! | `launch`, `fleet` | one runtime for each source |

mod board;
pub mod builder;
mod cadence;
mod gate;
mod hooks;
mod refresh;
mod shutdown;
mod standstill;

pub mod delta;
pub mod ended;
pub mod fleet;
pub mod freshness;
pub mod handle;
pub mod history;
pub mod launch;
pub mod look;
pub mod observer;
pub mod outlet;
pub mod runtime;
pub mod schedule;
pub mod source;

#[cfg(test)]
mod tests;

pub use builder::RuntimeBuilder;
pub use delta::{Delta, Epoch, Origin, Seq};
pub use ended::{EndKind, Ended};
pub use fleet::{Fleet, FleetEnd, FleetHandle};
pub use freshness::{Freshness, Observed, SharedError};
pub use gate::Hold;
pub use handle::{Change, Changes, LastError, Nudge, ObservationHandle, RunEnded};
pub use history::{History, Replay};
pub use launch::{ChildEnd, Decision, Launch, Occasion};
pub use look::LookError;
pub use observer::{Observer, Step};
pub use outlet::{Answer, NoOutlet, Outlet, Report};
pub use runtime::{Built, Clock, ObservationRuntime};
pub use schedule::{Backoff, Keep, Schedule, ScheduleBuilder, ScheduleError};
pub use source::{FixedSources, ObservedSource, SourceId, SourceIdError, SourceProvider};
