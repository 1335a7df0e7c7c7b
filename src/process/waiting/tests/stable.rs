//! What has to hold for a while.

use super::*;

#[test]
fn stable_is_interrupted_by_a_table_by_an_event_and_by_not_being_seen() {
    let (good, bad) = (
        table(vec![probed("a", Health::Ready)]),
        table(vec![probed("a", Health::NotReady)]),
    );
    let five = |wish: &mut Wish| wish.stable = s(5);
    let mut scene = Scene::new("ready", &[], five);
    for second in 0..5 {
        assert_eq!(scene.at(second, &good).decision, Decision::Wait, "{second}");
    }
    assert_eq!(scene.at(5, &good).decision, Decision::Met);

    let interrupted = |interrupt: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new("ready", &[], five);
        scene.at(0, &good);
        interrupt(&mut scene);
        assert_eq!(scene.at(4, &good).decision, Decision::Wait);
        assert_eq!(scene.at(8, &good).decision, Decision::Wait);
        assert_eq!(scene.at(9, &good).decision, Decision::Met);
    };
    interrupted(&|scene| _ = scene.at(3, &bad));
    interrupted(&|scene| scene.hears("restarted", "a", &json!({})));
    interrupted(&|scene| _ = scene.blind(3));

    let mut scene = Scene::new("ready", &[], five);
    scene.at(0, &good);
    scene.hears("status_changed", "a", &json!({}));
    scene.hears("crashed", "other", &json!({}));
    assert_eq!(scene.at(5, &good).decision, Decision::Met);
}

#[test]
fn stable_waits_for_the_news_of_its_last_moment() {
    let good = table(vec![up("a")]);
    let mut waiting = Scene::new("ready", &[], |wish| wish.stable = s(5)).0;
    let mut look = |second| {
        let seen = Seen::Table {
            table: &good,
            at: s(second),
            lag: s(2),
        };
        let source = "shop";
        waiting
            .look(
                &[Sight {
                    source,
                    seen,
                    sieve: None,
                }],
                s(second),
            )
            .decision
    };
    assert_eq!([look(0), look(5), look(6)], [Decision::Wait; 3]);
    assert_eq!(look(7), Decision::Met);
}
