//! A wire that can be cut: TCP from a port of its own to a port that may change.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a wire does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// Bytes pass.
    Whole,
    /// Connections stay open and no byte passes; those on the way wait.
    Stalled,
    /// Nobody listens.
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct State {
    wire: Wire,
    /// Where it leads; 0 is nowhere.
    target: u16,
    /// Connections made before the last cut end.
    cuts: u64,
}

/// One wire; gone when dropped.
pub(super) struct Proxy {
    pub(super) port: u16,
    state: Arc<watch::Sender<State>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

impl Proxy {
    pub(super) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(watch::Sender::new(State {
            wire: Wire::Whole,
            target,
            cuts: 0,
        }));
        let task = tokio::spawn(serve(listener, port, Arc::clone(&state)));
        Self { port, state, task }
    }

    /// Leads somewhere else from the next connection on.
    pub(super) fn lead(&self, target: u16) {
        self.state.send_modify(|state| state.target = target);
    }

    /// Ends all connections; new ones are taken at once.
    pub(super) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Changes what it does; one that is gone loses its connections.
    pub(super) fn set(&self, wire: Wire) {
        self.state.send_modify(|state| {
            state.wire = wire;
            state.cuts += u64::from(wire == Wire::Gone);
        });
    }
}

async fn serve(first: TcpListener, port: u16, state: Arc<watch::Sender<State>>) {
    let mut seen = state.subscribe();
    let mut listener = Some(first);
    loop {
        if seen.borrow_and_update().wire == Wire::Gone {
            listener = None;
        } else if listener.is_none() {
            // The system may need a moment to let go of the port.
            listener = TcpListener::bind(("127.0.0.1", port)).await.ok();
            if listener.is_none() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            }
        }
        let accepted = async {
            match &listener {
                Some(open) => open.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok((client, _)) = accepted => {
                let all = state.subscribe();
                tokio::spawn(relay(client, all));
            }
            changed = seen.changed() => if changed.is_err() { return },
        }
    }
}

/// One connection, both ways, until a side ends it or it is cut.
async fn relay(client: TcpStream, state: watch::Receiver<State>) {
    let made = *state.borrow();
    let mut cut = state.clone();
    let cut = cut.wait_for(|now| now.cuts != made.cuts);
    let through = async {
        let server = TcpStream::connect(("127.0.0.1", made.target)).await.ok()?;
        client.set_nodelay(true).ok()?;
        server.set_nodelay(true).ok()?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = pass(from_client, to_server, state.clone()) => {}
            () = pass(from_server, to_client, state.clone()) => {}
        }
        Some(())
    };
    tokio::select! {
        _ = through => {}
        _ = cut => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if state
            .wait_for(|now| now.wire != Wire::Stalled)
            .await
            .is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
