use serde_json::Value;

use super::*;

mod lives;
mod requests;
mod shapes;

/// A world with its facts and frames as short words.
struct Stage {
    world: World,
    facts: Vec<Record>,
    frames: Vec<Value>,
    answers: Vec<Ticket>,
    presence: Vec<(bool, bool)>,
}

fn rules(profile: &str) -> Rules {
    Rules {
        profile: profile.parse().unwrap(),
        project: "devbox/test".to_owned(),
        file: "test.yaml".to_owned(),
        seed: 1,
        speed: 1.0,
        torn: 0.0,
        wall: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
    }
}

impl Stage {
    fn new(processes: &str) -> Self {
        Self::of(
            "v1.122",
            &format!("processes:\n  {}", processes.replace('\n', "\n  ")),
        )
    }

    fn of(profile: &str, yaml: &str) -> Self {
        let world = World::new(Stack::parse(yaml).unwrap(), rules(profile));
        let mut stage = Self {
            world,
            facts: Vec::new(),
            frames: Vec::new(),
            answers: Vec::new(),
            presence: Vec::new(),
        };
        stage.collect();
        stage
    }

    fn collect(&mut self) {
        for output in self.world.take_outputs() {
            match output {
                Output::Fact(record) => self.facts.push(record),
                Output::Frame { state, .. } => {
                    self.frames.push(serde_json::from_str(&state).unwrap());
                }
                Output::Answer(ticket) => self.answers.push(ticket),
                Output::Presence { here, returns } => self.presence.push((here, returns)),
                Output::Line { .. } | Output::Reread(_) => {}
            }
        }
    }

    fn to(&mut self, ms: u64) -> &mut Self {
        self.world.advance(Duration::from_millis(ms));
        self.collect();
        self
    }

    fn ask<R>(&mut self, ms: u64, deed: impl FnOnce(&mut World) -> R) -> R {
        self.to(ms);
        let result = deed(&mut self.world);
        self.collect();
        result
    }

    /// Everything told about a process: `ms what because exit`.
    fn told(&self, name: &str) -> Vec<String> {
        let exit = |r: &Record| {
            r.exit.map_or_else(String::new, |e| {
                format!(
                    " {}",
                    match e {
                        Exit::Code(code) => code.to_string(),
                        Exit::Signal(signal) => format!("by {signal}"),
                    }
                )
            })
        };
        let word = |w: &dyn erased::Word| w.word();
        self.facts
            .iter()
            .filter(|r| r.process.as_deref() == Some(name))
            .map(|r| {
                format!(
                    "{} {} {}{}",
                    r.t_ms,
                    word(&r.what),
                    word(&r.because),
                    exit(r)
                )
            })
            .collect()
    }

    /// The frames of a process: `status restarts exit_code`.
    fn framed(&self, name: &str) -> Vec<String> {
        let of = self.frames.iter().filter(|f| f["name"] == name);
        of.map(|f| {
            format!(
                "{} {} {}",
                f["status"].as_str().unwrap(),
                f["restarts"],
                f["exit_code"]
            )
        })
        .collect()
    }

    fn look(&mut self, name: &str) -> Value {
        let key = self.world.names[name];
        serde_json::from_str(&self.world.look(key).unwrap()).unwrap()
    }

    fn names(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self
            .world
            .look_at_all()
            .iter()
            .map(|s| {
                serde_json::from_str::<Value>(s).unwrap()["name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        names.sort();
        names
    }
}

mod erased {
    /// The snake_case word of a fact.
    pub(super) trait Word {
        fn word(&self) -> String;
    }

    impl<T: serde::Serialize> Word for T {
        fn word(&self) -> String {
            serde_json::to_value(self)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        }
    }
}
