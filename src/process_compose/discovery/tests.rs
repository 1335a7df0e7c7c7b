use std::collections::BTreeMap;

use super::*;

#[derive(Default)]
struct World {
    given: Given,
    env: BTreeMap<&'static str, &'static str>,
    files: Vec<&'static str>,
}

impl World {
    fn candidates(&self) -> Result<Vec<Candidate>, SettingsError> {
        candidates(&Surroundings {
            given: &self.given,
            env: &|name| self.env.get(name).map(|value| (*value).to_owned()),
            here: Path::new("/home/me/app/web"),
            temp: Path::new("/tmp"),
            list: &|folder| {
                let files = self.files.iter().map(PathBuf::from);
                files.filter(|path| path.parent() == Some(folder)).collect()
            },
        })
    }

    fn told(&self) -> Vec<(String, String)> {
        let all = self.candidates().unwrap();
        all.into_iter()
            .map(|one| (one.endpoint.to_string(), one.why))
            .collect()
    }

    fn only(&self) -> (String, String) {
        let mut told = self.told();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }
}

fn pair(place: &str, why: &str) -> (String, String) {
    (place.to_owned(), why.to_owned())
}

#[test]
fn a_flag_outranks_the_environment_and_is_never_second_guessed() {
    let mut world = World {
        env: BTreeMap::from([
            ("PC_SOCKET_PATH", "/run/pc.sock"),
            ("PC_ADDRESS", "box"),
            ("PC_PORT_NUM", "9000"),
        ]),
        ..World::default()
    };
    assert_eq!(world.only(), pair("/run/pc.sock", "PC_SOCKET_PATH"));
    world.given.port = Some(9100);
    assert_eq!(world.only(), pair("box:9100", "--port"));
    world.given.address = Some("::1".into());
    assert_eq!(world.only(), pair("[::1]:9100", "--address and --port"));
    world.given.url = Some(BaseUrl::parse("https://edge/pc").unwrap());
    assert_eq!(world.only(), pair("https://edge/pc", "--url"));
    world.given.unix_socket = Some("/x.sock".into());
    assert_eq!(world.only(), pair("/x.sock", "--unix-socket"));
}

#[test]
fn the_variables_of_process_compose_are_taken_as_its_own_client_takes_them() {
    let world = |env: &[(&'static str, &'static str)]| World {
        env: env.iter().copied().collect(),
        ..World::default()
    };
    assert_eq!(
        world(&[("PC_PORT_NUM", "9000")]).only(),
        pair("localhost:9000", "PC_PORT_NUM")
    );
    assert_eq!(
        world(&[("PC_ADDRESS", "0.0.0.0")]).only(),
        pair("localhost:8080", "PC_ADDRESS")
    );
    let refused = world(&[("PC_PORT_NUM", "eighty\u{1b}")])
        .candidates()
        .unwrap_err();
    assert!(refused.to_string().contains("eighty?"), "{refused}");
    assert!(world(&[("PC_PORT_NUM", "0")]).candidates().is_err());
    assert_eq!(
        world(&[("PC_SOCKET_PATH", "")]).told(),
        [pair("localhost:8080", "the usual address")]
    );
}

#[test]
fn the_usual_places_come_in_their_order_each_once() {
    let world = World {
        env: BTreeMap::from([
            ("DEVENV_RUNTIME", "/home/me/.devenv/run"),
            ("_FLOX_SERVICES_SOCKET", "/f.sock"),
        ]),
        files: vec![
            "/tmp/process-compose-7.sock",
            "/tmp/other.sock",
            "/tmp/process-compose-5.sock",
            "/home/me/.devenv/run/pc.sock",
            "/home/me/app/.devenv/run/pc.sock",
            "/home/me/app/.devenv/run/gc.sock",
            "/home/me/app/.flox/cache/services.1.sock",
            "/home/me/app/.flox/cache/log",
        ],
        ..World::default()
    };
    let places: Vec<_> = world.told().into_iter().map(|(place, _)| place).collect();
    assert_eq!(
        places,
        [
            "/f.sock",
            "/home/me/.devenv/run/pc.sock",
            "/home/me/app/.devenv/run/pc.sock",
            "/home/me/app/.flox/cache/services.1.sock",
            "/tmp/process-compose-5.sock",
            "/tmp/process-compose-7.sock",
            "localhost:8080",
        ]
    );
}

fn found(place: &str, project: &str) -> Found {
    Found {
        endpoint: Endpoint::Unix(place.into()),
        why: "devenv's socket".into(),
        project: Some(project.into()),
    }
}

#[test]
fn several_are_listed_with_their_projects_and_one_is_taken() {
    let tried = || {
        Err(Tried {
            endpoint: Endpoint::standard(),
            kind: Kind::NotProcessCompose,
            found: "a web page answers there (200), not a process-compose".into(),
        })
    };
    let two = judge(vec![
        (Standing::Usual, Ok(found("/a.sock", "shop"))),
        (Standing::Usual, Ok(found("/b.sock", "bl\u{1b}og"))),
        (Standing::Usual, tried()),
    ]);
    assert_eq!(
        two.to_string(),
        "several process-composes answer; name one of them:\n  --unix-socket /a.sock  shop\n  --unix-socket /b.sock  bl?og"
    );
    let inside = judge(vec![
        (Standing::Activated, Ok(found("/a.sock", "shop"))),
        (Standing::Usual, Ok(found("/b.sock", "blog"))),
    ]);
    assert_eq!(inside.to_string(), "/a.sock (devenv's socket)");
    let nobody = judge(vec![(Standing::Usual, tried())]).to_string();
    assert!(
        nobody.starts_with("no process-compose found; tried localhost:8080 (a web page"),
        "{nobody}"
    );
}
