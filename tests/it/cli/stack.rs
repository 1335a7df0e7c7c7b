//! The stack that is watched: a simulated process-compose inside the test.

use observe::simulate::builder::Builder;
use observe::simulate::control::Control;
use observe::simulate::script::Stack as Script;
use observe::simulate::server::{Ended, SimulateError, Simulation};
use observe::simulate::settings::Place;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::run::LIMIT;
use crate::support::wait::until;

/// Three processes in two namespaces that do nothing of their own accord.
pub(super) const SHOP: &str = "
name: shop
keep: true
processes:
  api: {}
  worker: {restart: always, backoff: 1s}
  web: {namespace: front}
";

/// One process that ends again and again.
pub(super) const BUSY: &str = "
name: busy
keep: true
processes:
  a: {life: [{run: 200ms, exit: 1}], restart: always, backoff: 1s}
  b: {life: [{run: 300ms, exit: 1}], restart: always, backoff: 1s}
  c: {life: [{run: 400ms, exit: 1}], restart: always, backoff: 1s}
";

/// A running stack that ends with the test.
pub(super) struct Stack {
    pub(super) port: String,
    pub(super) control: Control,
    _task: JoinHandle<Result<Ended, SimulateError>>,
    _guard: DropGuard,
}

impl Stack {
    pub(super) async fn shop() -> Self {
        Self::play(SHOP).await
    }

    pub(super) async fn play(yaml: &str) -> Self {
        Self::serve(builder(yaml)).await
    }

    /// Lets a program end with this code, as soon as it runs.
    pub(super) async fn exit(&self, name: &str, code: i32) {
        until(LIMIT, "a program that can end", async || {
            self.control.exit(name, code).is_ok()
        })
        .await;
    }

    pub(super) async fn serve(builder: Builder) -> Self {
        let simulation = builder.bind().await.unwrap();
        let port = match simulation.place() {
            Place::Tcp(_, port) => port.to_string(),
            // The one who asked for a socket knows it.
            Place::Unix(_) => String::new(),
        };
        let (control, token) = (simulation.control(), CancellationToken::new());
        Self {
            port,
            control,
            _task: tokio::spawn(simulation.run(token.clone())),
            _guard: token.drop_guard(),
        }
    }
}

pub(super) fn builder(yaml: &str) -> Builder {
    Simulation::builder(Script::parse(yaml).unwrap())
}
