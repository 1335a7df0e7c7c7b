//! The consumers of `examples/consumers/`, as they stand there, against a broker, a played stack and an adapter.
//!
//! Each is killed in the middle and started again, and in the end the broker forgets its place, so that everything comes
//! once more. The client libraries are those that `make test` has fetched. A language that the machine does not have is
//! said in one line: the other stands in for it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use observe::event::payload::Origin;
use rustix::process::Signal;

use super::house::{client, events, without_holes};
use super::run::{Home, LIMIT, Run};
use crate::support::nats::NatsServer;
use crate::support::wait::until;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/consumers");

/// A language of the examples.
struct Language {
    name: &'static str,
    program: &'static str,
    file: &'static str,
    /// A file of the client library, below the folder that was fetched.
    library: &'static str,
}

const PYTHON: Language = Language {
    name: "python",
    program: "python3",
    file: "consumer.py",
    library: "nats/__init__.py",
};

const JAVASCRIPT: Language = Language {
    name: "javascript",
    program: "node",
    file: "consumer.mjs",
    library: "node_modules/@nats-io/jetstream/package.json",
};

impl Language {
    fn is_on_path(&self) -> bool {
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&on_path).any(|folder| folder.join(self.program).is_file())
    }

    /// Whether the machine has it; if not, that is said on the real stderr, which the harness does not hold back.
    fn is_here(&self) -> bool {
        if self.is_on_path() {
            return true;
        }
        let other = [PYTHON, JAVASCRIPT].into_iter().find(Self::is_on_path);
        let instead = other.map_or("nothing", |other| other.program);
        let (name, program) = (self.name, self.program);
        let line = format!(
            "consumers: no {program} on PATH: that in {name} is not run; instead: {instead}\n"
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        false
    }

    /// Where its client library lies.
    fn library(&self) -> PathBuf {
        let named = std::env::var_os("OBSERVE_TEST_CLIENTS").map(PathBuf::from);
        let fetched = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join(".tools/clients"));
        let found = named
            .into_iter()
            .chain(fetched)
            .map(|folder| folder.join(self.name))
            .find(|folder| folder.join(self.library).is_file());
        let (name, program) = (self.name, self.program);
        found.unwrap_or_else(|| {
            panic!("{program} is here, but no NATS client for {name}: run `make test`, which fetches it, or set OBSERVE_TEST_CLIENTS")
        })
    }
}

/// A broker into which the life of a restless stack is told, and a consumer of it.
struct Scene {
    home: Home,
    nats: NatsServer,
    language: Language,
    library: PathBuf,
    stack: Run,
    adapter: Run,
}

impl Scene {
    async fn new(language: Language) -> Self {
        let (home, nats, library) = (Home::new(), NatsServer::start(), language.library());
        let stack = home.run(&[
            "simulate", "--random", "40", "--rate", "40", "--seed", "7", "-p", "0",
        ]);
        let address = stack.tells("http://").await;
        let adapter = home.run(&[
            "adapter",
            "--url",
            address.trim(),
            "-s",
            &nats.url(),
            "--interval",
            "250ms",
        ]);
        // The consumer is where its reader has put it: in a folder of its own beside its library.
        let folder = Path::new(EXAMPLES).join(language.name);
        std::fs::copy(folder.join(language.file), home.path().join(language.file)).unwrap();
        if language.name == JAVASCRIPT.name {
            let modules = library.join("node_modules");
            std::os::unix::fs::symlink(modules, home.path().join("node_modules")).unwrap();
        }
        Self {
            home,
            nats,
            language,
            library,
            stack,
            adapter,
        }
    }

    fn consumer(&self) -> Run {
        let mut command = Command::new(self.language.program);
        command
            .args([self.language.file, "done.log"])
            .env("NATS_URL", self.nats.url())
            .env("PYTHONPATH", &self.library)
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Run::of(&mut command)
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("done.log")
    }

    /// The ids of what it has done, in its order.
    fn done(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        let first = |line: &str| line.split(' ').next().unwrap().to_owned();
        whole.lines().map(first).collect()
    }

    async fn has_done(&self, wanted: usize, run: &mut Run) {
        until(LIMIT, "a consumer that does something", async || {
            assert!(run.is_running(), "it has ended: {:#?}", run.err.all());
            self.done().len() >= wanted
        })
        .await;
    }

    async fn stream(&self) -> async_nats::jetstream::stream::Stream {
        let context = async_nats::jetstream::new(client(&self.nats).await);
        context.get_stream("PROCESS_EVENTS").await.unwrap()
    }

    /// The place that the broker keeps, as soon as there is one.
    async fn place(&self) -> Option<async_nats::jetstream::consumer::Info> {
        let name = format!("example-{}", self.language.name);
        self.stream().await.consumer_info(&name).await.ok()
    }

    async fn forget_place(&self) {
        let name = format!("example-{}", self.language.name);
        self.stream().await.delete_consumer(&name).await.unwrap();
    }

    async fn owes_nothing(&self, run: &mut Run) {
        until(LIMIT, "a consumer that has read everything", async || {
            assert!(run.is_running(), "it has ended: {:#?}", run.err.all());
            let place = self.place().await;
            place.is_some_and(|place| place.num_pending == 0 && place.num_ack_pending == 0)
        })
        .await;
    }
}

async fn does_everything_once(language: Language) {
    if !language.is_here() {
        return;
    }
    let mut scene = Scene::new(language).await;
    until(LIMIT, "events", async || {
        events(&scene.nats).await.len() >= 60
    })
    .await;
    let mut first = scene.consumer();
    scene.has_done(5, &mut first).await;
    first.end_by(Signal::KILL).await;
    let at_kill = scene.done().len();
    // Half a line, as of a machine that lost its power.
    let mut log = std::fs::OpenOptions::new()
        .append(true)
        .open(scene.log())
        .unwrap();
    log.write_all(b"random.torn").unwrap();

    let mut second = scene.consumer();
    scene.has_done(at_kill + 20, &mut second).await;
    second.end_by(Signal::KILL).await;
    assert_eq!(scene.stack.end_by(Signal::INT).await, 130);
    assert_eq!(scene.adapter.end_by(Signal::INT).await, 130);

    let mut third = scene.consumer();
    scene.owes_nothing(&mut third).await;
    third.end_by(Signal::KILL).await;
    let told = events(&scene.nats).await;
    without_holes(&told);
    assert!(told.iter().any(|event| event.origin == Origin::Initial));
    let wanted: Vec<_> = told
        .iter()
        .filter(|event| event.origin != Origin::Initial)
        .map(|event| event.id.clone())
        .collect();
    assert!(at_kill < wanted.len(), "it was killed when all was done");
    assert_eq!(scene.done(), wanted);
    // It went on where it was: at most what was under way at each kill came twice.
    let handed_out = scene.place().await.unwrap().delivered.consumer_sequence;
    assert!(
        handed_out <= u64::try_from(told.len()).unwrap() + 10,
        "{handed_out} of {}",
        told.len()
    );

    scene.forget_place().await;
    let mut again = scene.consumer();
    scene.owes_nothing(&mut again).await;
    again.end_by(Signal::KILL).await;
    assert_eq!(
        scene.done(),
        wanted,
        "what is handed out again is not done again"
    );
}

#[tokio::test]
async fn the_consumer_in_python_does_everything_once() {
    does_everything_once(PYTHON).await;
}

#[tokio::test]
async fn the_consumer_in_javascript_does_everything_once() {
    does_everything_once(JAVASCRIPT).await;
}

#[test]
fn each_consumer_is_short() {
    for file in [
        "python/consumer.py",
        "javascript/consumer.mjs",
        "go/consumer.go",
    ] {
        let text = std::fs::read_to_string(Path::new(EXAMPLES).join(file)).unwrap();
        assert!(
            text.lines().count() < 40,
            "{file} has {} lines",
            text.lines().count()
        );
    }
}
