//! Connections that can be cut from our side, over TCP or a unix socket.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::settings::Place;

/// Where people knock.
#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A listener whose connections all end when it does.
#[derive(Debug)]
pub(super) struct Entrance {
    door: Door,
    cut: CancellationToken,
}

/// The other end of a connection, and the means to hang up on it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    cut: CancellationToken,
}

impl Peer {
    pub(super) fn hang_up(&self) {
        self.cut.cancel();
    }

    pub(super) fn of(request: &Request) -> Option<Self> {
        request
            .extensions()
            .get::<ConnectInfo<Self>>()
            .map(|info| info.0.clone())
    }
}

impl Connected<IncomingStream<'_, Entrance>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Entrance>) -> Self {
        stream.remote_addr().clone()
    }
}

impl Entrance {
    /// Opens the door; a stale socket file is replaced if nobody answers behind it.
    pub(super) async fn open(place: &Place, cut: CancellationToken) -> io::Result<Self> {
        let door = match place {
            Place::Tcp(address, port) => Door::Tcp(TcpListener::bind((*address, *port)).await?),
            Place::Unix(path) => Door::Unix(bind_unix(path).await?),
        };
        Ok(Self { door, cut })
    }

    /// The port, if there is one.
    pub(super) fn port(&self) -> Option<u16> {
        match &self.door {
            Door::Tcp(listener) => listener.local_addr().ok().map(|a| a.port()),
            Door::Unix(_) => None,
        }
    }
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(e)
            if e.kind() == io::ErrorKind::AddrInUse && UnixStream::connect(path).await.is_err() =>
        {
            tokio::fs::remove_file(path).await?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

impl Listener for Entrance {
    type Io = Line;
    type Addr = Peer;

    async fn accept(&mut self) -> (Line, Peer) {
        loop {
            let accepted = match &self.door {
                Door::Tcp(listener) => listener
                    .accept()
                    .await
                    .and_then(|(stream, _)| stream.set_nodelay(true).map(|()| Wire::Tcp(stream))),
                Door::Unix(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, _)| Wire::Unix(stream)),
            };
            match accepted {
                Ok(wire) => {
                    let cut = self.cut.child_token();
                    let line = Line {
                        wire,
                        gone: Box::pin(cut.clone().cancelled_owned()),
                    };
                    return (line, Peer { cut });
                }
                // Out of descriptors, or the other side was gone already.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer {
            cut: self.cut.clone(),
        })
    }
}

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection that reads and writes nothing more once it was cut.
pub(super) struct Line {
    wire: Wire,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.gone.as_mut().poll(cx).is_ready()
    }
}

fn cut() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_cut(cx) {
            return Poll::Ready(Err(cut()));
        }
        match &mut self.wire {
            Wire::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_cut(cx) {
            return Poll::Ready(Err(cut()));
        }
        match &mut self.wire {
            Wire::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Wire::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
