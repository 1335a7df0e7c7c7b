//! The managed broker: a real nats-server, a real warden.

use std::fs;
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream;
use futures_util::future::join_all;
use observe::broker::{BrokerError, Kind, Stopped, ensure, has_died, stop};
use rustix::process::{Pid, Signal, getpgid};

use crate::support::house::{HOLD, House, SOON, connect, mode, script, send, settings, warden};
use crate::support::scratch::Scratch;
use crate::support::wait::until;

#[tokio::test]
#[ignore = "no test of its own: others run it as a user they can kill"]
async fn a_user_for_other_tests() {
    let Some(state) = std::env::var_os(HOLD) else {
        return;
    };
    let _lease = ensure(&settings(Path::new(&state)), &warden())
        .await
        .unwrap();
    // Stays until it is killed, or until the test that started it is gone and its pipe with it.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn starters_racing_get_one_server() {
    let house = House::new();
    let leases = join_all((0..8).map(|_| house.lease())).await;
    let pid = leases[0].pid;
    assert!(leases.iter().all(|lease| lease.pid == pid), "{leases:?}");
    assert_eq!(leases.iter().filter(|lease| lease.started_by_us).count(), 1);
    assert_eq!(house.running().await.unwrap().users, 8);
    drop(leases);
    house.all_gone().await;
}

#[tokio::test]
async fn starters_in_processes_of_their_own_get_one_server() {
    let house = House::new();
    let (_one, _two) = tokio::join!(house.user(), house.user());
    let lease = house.lease().await;
    assert!(!lease.started_by_us);
    until(SOON, "three users", async || {
        house.running().await.unwrap().users == 3
    })
    .await;
    stop(&house.settings).await.unwrap();
}

#[tokio::test]
async fn the_server_ends_after_its_last_user_and_not_before() {
    let house = House::new();
    let (first, second) = (house.lease().await, house.lease().await);
    assert!(first.started_by_us && !second.started_by_us);
    drop(first);
    // Three linger times: time enough for a warden that counts wrongly.
    tokio::time::sleep(house.settings.linger * 3).await;
    assert_eq!(house.running().await.unwrap().pid, second.pid);
    drop(second);
    house.all_gone().await;
    assert!(house.running().await.is_none());
    assert!(!house.file("server.json").exists());
}

#[tokio::test]
async fn a_lease_always_leads_to_a_living_server() {
    let mut house = House::new();
    house.settings.linger = Duration::from_millis(20);
    house.settings.look = Duration::from_millis(3);
    let mut starts = 0;
    for round in 0..40 {
        // Comes ever later: before the warden's decision, in the middle of it, after it.
        tokio::time::sleep(Duration::from_millis(10 + round)).await;
        let (one, two) = tokio::join!(house.lease(), house.lease());
        assert_eq!(one.pid, two.pid);
        starts += u32::from(one.started_by_us) + u32::from(two.started_by_us);
        let client = connect(&one).await;
        tokio::time::sleep(house.settings.look * 2).await;
        client.flush().await.unwrap();
        assert_eq!(
            client.connection_state(),
            async_nats::connection::State::Connected
        );
        assert_eq!(house.running().await.unwrap().pid, one.pid);
    }
    assert!(
        (2..40).contains(&starts),
        "{starts} starts: the decision was never met"
    );
    house.all_gone().await;
}

#[tokio::test]
async fn a_user_killed_with_9_is_gone() {
    let house = House::new();
    let mut user = house.user().await;
    assert_eq!(house.running().await.unwrap().users, 1);
    user.kill();
    house.all_gone().await;
}

#[tokio::test]
async fn a_stale_card_is_replaced() {
    let house = House::new();
    let old = house.lease().await;
    send(house.warden_pid(), Signal::KILL);
    send(old.pid, Signal::KILL);
    house.all_gone().await;
    let mut card = house.card();
    // The number may have been given to anybody since.
    card["pid"] = std::process::id().into();
    fs::write(house.file("server.json"), card.to_string()).unwrap();
    assert!(house.running().await.is_none());
    let new = house.lease().await;
    assert!(new.started_by_us);
    assert_ne!(new.pid, old.pid);
    connect(&new).await;
    stop(&house.settings).await.unwrap();
}

#[tokio::test]
async fn data_survives_stop_and_start() {
    let house = House::new();
    let lease = house.lease().await;
    let stream = jetstream::stream::Config {
        name: "KEEP".into(),
        subjects: vec!["keep.>".into()],
        ..Default::default()
    };
    let jetstream = jetstream::new(connect(&lease).await);
    jetstream.create_stream(stream).await.unwrap();
    jetstream
        .publish("keep.it", "here".into())
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(
        stop(&house.settings).await.unwrap(),
        Stopped::Ended { users: 1 }
    );
    assert_eq!(stop(&house.settings).await.unwrap(), Stopped::NotRunning);
    drop(lease);

    let again = house.lease().await;
    assert!(again.started_by_us);
    let jetstream = jetstream::new(connect(&again).await);
    let kept = jetstream
        .get_stream("KEEP")
        .await
        .unwrap()
        .get_raw_message(1)
        .await
        .unwrap();
    assert_eq!(&kept.payload[..], b"here");
    stop(&house.settings).await.unwrap();
}

#[tokio::test]
async fn a_killed_warden_is_replaced_and_nobody_is_disconnected() {
    let house = House::new();
    let first = house.lease().await;
    let client = connect(&first).await;
    let lost = house.warden_pid();
    send(lost, Signal::KILL);
    until(SOON, "the end of the warden", async || {
        !house.locked("warden.lock")
    })
    .await;

    let second = house.lease().await;
    assert_eq!((second.pid, second.started_by_us), (first.pid, false));
    assert_ne!(house.warden_pid(), lost);
    client.flush().await.unwrap();
    drop((first, second));
    house.all_gone().await;
}

#[tokio::test]
async fn a_server_without_warden_and_card_is_ended_before_another_starts() {
    let house = House::new();
    let old = house.lease().await;
    send(house.warden_pid(), Signal::KILL);
    until(SOON, "the end of the warden", async || {
        !house.locked("warden.lock")
    })
    .await;
    fs::remove_file(house.file("server.json")).unwrap();
    assert!(house.locked("server.lock"), "the server holds its own lock");

    let new = house.lease().await;
    assert!(new.started_by_us);
    assert_ne!(new.pid, old.pid);
    stop(&house.settings).await.unwrap();
}

#[tokio::test]
async fn stop_ends_a_server_without_warden() {
    let house = House::new();
    let _lease = house.lease().await;
    send(house.warden_pid(), Signal::KILL);
    until(SOON, "the end of the warden", async || {
        !house.locked("warden.lock")
    })
    .await;
    assert_eq!(
        stop(&house.settings).await.unwrap(),
        Stopped::Ended { users: 1 }
    );
    house.all_gone().await;
}

#[tokio::test]
async fn a_dead_server_is_replaced_when_somebody_asks_again() {
    let house = House::new();
    let old = house.lease().await;
    send(old.pid, Signal::KILL);
    house.all_gone().await;
    assert!(has_died(&house.settings).unwrap());
    let new = house.lease().await;
    assert!(new.started_by_us);
    assert_eq!((&new.url, &new.token), (&old.url, &old.token));
    stop(&house.settings).await.unwrap();
    assert!(!has_died(&house.settings).unwrap());
}

#[tokio::test]
async fn a_dead_server_whose_port_is_taken_is_replaced_at_another() {
    let house = House::new();
    let old = house.lease().await;
    send(old.pid, Signal::KILL);
    house.all_gone().await;
    let taken = old.url.trim_start_matches("nats://").to_owned();
    let _taken = std::net::TcpListener::bind(taken).unwrap();
    let new = house.lease().await;
    assert_ne!((&new.url, &new.token), (&old.url, &old.token));
    connect(&new).await;
    stop(&house.settings).await.unwrap();
}

#[tokio::test]
async fn a_warden_ends_on_sigterm_and_not_on_sighup() {
    let house = House::new();
    let lease = house.lease().await;
    send(house.warden_pid(), Signal::HUP);
    // As above: several looks, during which a warden that minds the signal would have ended.
    tokio::time::sleep(house.settings.look * 4).await;
    assert_eq!(house.running().await.unwrap().pid, lease.pid);
    send(house.warden_pid(), Signal::TERM);
    house.all_gone().await;
    assert!(!house.file("server.json").exists());
}

#[tokio::test]
async fn ctrl_c_in_the_terminal_of_the_first_user_reaches_neither_warden_nor_server() {
    let house = House::new();
    let lease = house.lease().await;
    let group = |pid: u32| getpgid(Pid::from_raw(i32::try_from(pid).unwrap())).unwrap();
    let ours = group(std::process::id());
    assert_ne!(group(house.warden_pid()), ours);
    assert_ne!(group(lease.pid), ours);
    stop(&house.settings).await.unwrap();
}

#[tokio::test]
async fn a_warden_whose_folder_was_removed_ends() {
    let house = House::new();
    let lease = house.lease().await;
    let (pid, conf) = (lease.pid, house.file("server.conf").canonicalize().unwrap());
    fs::rename(house.file(""), house.scratch.path().join("away")).unwrap();
    let other = house.lease().await;
    assert!(other.started_by_us);
    until(SOON, "the end of the first server", async || {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        !String::from_utf8_lossy(&line).contains(conf.to_str().unwrap())
    })
    .await;
    assert_eq!(
        house.running().await.unwrap().pid,
        other.pid,
        "the other broker was left alone"
    );
    stop(&house.settings).await.unwrap();
}

#[tokio::test]
async fn nobody_else_gets_in_and_nobody_else_reads() {
    let house = House::new();
    let lease = house.lease().await;
    assert!(async_nats::connect(&lease.url).await.is_err());
    assert_eq!(mode(&house.file("")), 0o700);
    for secret in ["server.conf", "server.json"] {
        assert_eq!(mode(&house.file(secret)), 0o600, "{secret}");
    }
    let shown = format!("{lease:?} {:?} {:?}", house.running().await, house.settings);
    assert!(!shown.contains(lease.token.reveal()), "{shown}");
    stop(&house.settings).await.unwrap();
}

#[tokio::test]
async fn a_folder_with_an_odd_name_will_do() {
    let house = House::at(Scratch::new("broker"), "o d\"d\\x41 $HOME # ä'");
    let lease = house.lease().await;
    connect(&lease).await;
    assert!(house.file("store/jetstream").is_dir());
    stop(&house.settings).await.unwrap();
}

async fn refused(house: &mut House, text: &str) -> BrokerError {
    house.settings.binary = Some(script(house, text));
    let error = ensure(&house.settings, &warden()).await.unwrap_err();
    house.all_gone().await;
    assert!(!house.file("server.json").exists());
    error
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_told_with_the_log_to_read() {
    let mut house = House::new();
    let error = refused(&mut house, "echo no >&2; exit 1").await;
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("warden.log"), "{error}");
    assert_eq!(
        fs::read_to_string(house.file("warden.log"))
            .unwrap()
            .lines()
            .next(),
        Some("no")
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_killed_and_told() {
    let mut house = House::new();
    let error = refused(&mut house, "exec sleep 600").await;
    assert_eq!(error.kind(), Kind::Timeout);
}

#[tokio::test]
async fn a_missing_server_leaves_nothing_running() {
    let mut house = House::new();
    house.settings.binary = Some("/nowhere/nats-server".into());
    let error = ensure(&house.settings, &warden()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
    assert!(!house.locked("warden.lock"));
}
