//! `--listen`: what an adapter shows to those who ask, and where.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::adapter::settings::random_name;
use crate::listen::board::{Account, Board, Handle, Seat};
use crate::listen::error::{ListenError, ListenErrorKind};
use crate::listen::place::{OwnSocket, Place, root};
use crate::listen::serve::{Open, Reception, server};
use crate::observation::source::SourceId;

use super::exit::{Exit, Failure, OrExit as _};
use super::terminal::{say, words};

/// What a bare `--listen` stands for in the list of places.
const OWN: &str = "own";
/// Beside what is known of the looks, what a commit may take with a broker that does not answer.
const GRACE: Duration = Duration::from_secs(60);

/// Where to listen.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Listening")]
pub(super) struct ListenArgs {
    /// Answer /health, /snapshot, /events and /metrics at 127.0.0.1:PORT or unix:PATH; bare, at the socket of the source,
    /// $XDG_RUNTIME_DIR/observe/<source>/sockets/api.sock. May be given several times
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = OWN, value_parser = wanted)]
    pub(super) listen: Vec<Wanted>,
}

/// One place that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A socket of each source's own.
    Own,
    /// This one.
    At(Place),
}

fn wanted(text: &str) -> Result<Wanted, ListenError> {
    match text {
        OWN => Ok(Wanted::Own),
        place => place.parse().map(Wanted::At),
    }
}

/// What is shown of the sources of an adapter; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Listening {
    board: Board,
    reception: Reception,
    own: bool,
}

/// A source that is shown until this is dropped.
#[must_use = "dropped, the source is shown no longer"]
pub(super) struct Shown {
    _seat: Seat,
    _door: Option<Open>,
}

/// Opens the places that do not depend on a source and serves there for as long as the work lasts, which is given what
/// shows its sources; nothing where nobody wants to listen.
pub(super) async fn listening<T, F: Future<Output = Result<T, Failure>>>(
    args: &ListenArgs,
    token: &CancellationToken,
    work: impl FnOnce(Option<Listening>) -> F,
) -> Result<T, Failure> {
    if args.listen.is_empty() {
        return work(None).await;
    }
    let board = Board::new(random_name(), Arc::new(Utc::now));
    let (server, reception) = server(board.clone());
    let ending = CancellationToken::new();
    let mut serving = tokio::spawn(server.run(ending.clone()));
    // It ends with us, also where we are dropped.
    let ends = ending.drop_guard();
    let doors = match doors(&reception, args).await {
        Ok(doors) => doors,
        Err(failure) => {
            drop(ends);
            return serving.await.or_exit(Exit::Refused).and(Err(failure));
        }
    };
    let listening = Listening {
        board,
        reception,
        own: args.listen.contains(&Wanted::Own),
    };
    let mut work = std::pin::pin!(work(Some(listening)));
    let (done, served) = tokio::select! {
        biased;
        done = &mut work => {
            drop((doors, ends));
            (done, serving.await)
        }
        served = &mut serving => {
            token.cancel();
            (work.await, served)
        }
    };
    let done = done?;
    served.or_exit(Exit::Refused).map(|()| done)
}

/// Opens the places that do not depend on a source. The server has to run: only so many doors wait for it.
async fn doors(reception: &Reception, args: &ListenArgs) -> Result<Vec<Open>, Failure> {
    let mut doors = Vec::new();
    for wanted in &args.listen {
        if let Wanted::At(place) = wanted {
            doors.push(open(reception, place).await?);
        }
    }
    Ok(doors)
}

async fn open(reception: &Reception, place: &Place) -> Result<Open, Failure> {
    let open = reception.open(place).await.map_err(|error| {
        let exit = match error.kind() {
            ListenErrorKind::Usage => Exit::Usage,
            ListenErrorKind::Refused => Exit::Refused,
        };
        Failure::new(exit, anyhow::Error::from(error).context("--listen"))
    })?;
    let shown = open.place.to_string();
    say(&format!("listening at {}", words().clean(&shown, 400)));
    if open.place.is_open() {
        say(&format!(
            "warning: whoever reaches {shown} can read the names and the state of all processes"
        ));
    }
    Ok(open)
}

impl Listening {
    /// An account for a source that is about to begin.
    pub(super) fn account(&self, source: &SourceId) -> Account {
        self.board.account(source.clone())
    }

    /// These are to be shown from now on, also while they cannot be looked at.
    pub(super) fn wants(&self, sources: impl IntoIterator<Item = SourceId>) {
        self.board.wants(sources);
    }

    /// At these places are stacks that have not told their names yet.
    pub(super) fn awaits(&self, places: Vec<String>) {
        self.board.awaits(places);
    }

    /// A source is about to be reached.
    pub(super) fn tries(&self, source: &SourceId) {
        self.board.tries(source);
    }

    /// A source is not looked at, and why.
    pub(super) fn lacks(&self, source: &SourceId, why: Option<&str>) {
        self.board.lacks(source, why);
    }
}

/// Shows a source, where anybody wants to see it; between two reports of its looks no more than this passes, and a grace.
pub(super) async fn show(
    listening: Option<&Listening>,
    account: Option<Account>,
    (handle, turn): (&Handle, Duration),
) -> Result<Option<Shown>, Failure> {
    let (Some(listening), Some(account)) = (listening, account) else {
        return Ok(None);
    };
    let place = listening.own.then(|| own_socket(&account.source));
    let door = match place {
        Some(place) => Some(open(&listening.reception, &place).await?),
        None => None,
    };
    let seat = listening.board.put(account, handle.clone(), turn + GRACE);
    Ok(Some(Shown {
        _seat: seat,
        _door: door,
    }))
}

/// The socket of a source, as the environment says.
pub(super) fn own_socket(source: &SourceId) -> Place {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
    let uid = rustix::process::geteuid().as_raw();
    Place::Own(OwnSocket {
        root: root(runtime.as_deref(), &std::env::temp_dir(), uid),
        source: source.clone(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: ListenArgs,
        #[arg(short)]
        verbose: bool,
    }

    #[test]
    fn a_bare_flag_is_a_socket_of_the_sources_own_and_others_may_stand_beside_it() {
        let of = |args: &[&str]| {
            let all = ["x"].iter().chain(args);
            Program::try_parse_from(all).map(|program| program.args.listen)
        };
        let tcp = Wanted::At("127.0.0.1:9".parse().unwrap());
        assert_eq!(of(&[]).unwrap(), []);
        assert_eq!(of(&["--listen"]).unwrap(), [Wanted::Own]);
        assert_eq!(of(&["--listen", "-v"]).unwrap(), [Wanted::Own]);
        let both = of(&["--listen", "--listen", "127.0.0.1:9"]).unwrap();
        assert_eq!(both, [Wanted::Own, tcp]);
        let error = of(&["--listen", "9100"]).unwrap_err().to_string();
        assert!(error.contains("write 127.0.0.1:PORT"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn there_may_be_any_number_of_places() {
        let args = ListenArgs {
            listen: vec![Wanted::At("127.0.0.1:0".parse().unwrap()); 40],
        };
        let token = CancellationToken::new();
        let work = |listening: Option<Listening>| async move { Ok(listening.is_some()) };
        let begun = tokio::time::timeout(Duration::from_secs(60), listening(&args, &token, work));
        assert!(matches!(begun.await, Ok(Ok(true))));
    }
}
