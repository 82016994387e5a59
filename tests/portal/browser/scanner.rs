//! What opens a link without a person.

use crate::browser::api::get;
use crate::browser::driver::Scripts;
use crate::browser::host::Host;
use crate::browser::person::Person;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_002_a_scanner_that_runs_scripts_changes_nothing() {
    let host = Host::start();
    let alice = Person::signed_in(&host, "alice", Scripts::On).await;
    alice.edit("Generate New Primary", "Generate a new primary token").await;
    let token = alice.shown_token().await;
    let link = host.mail.next().link();
    // With her session, and without.
    let stranger = Person::stranger(&host).await;
    for _ in 0..3 {
        alice.follow(&link).await;
        alice.assert_says("What will happen").await;
        stranger.follow(&link).await;
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(alice.address().await.contains("/verify?code="), "nothing sent itself");
        assert_eq!(get(host.address, &token), 401);
    }
    alice.click("Activate the new token").await;
    assert_eq!(get(host.address, &token), 200);
    alice.leave().await;
    stranger.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_can_neither_frame_a_page_nor_send_a_form() {
    let host = Host::start();
    let alice = Person::signed_in(&host, "alice", Scripts::On).await;
    let framing = format!(
        "data:text/html,<iframe src='{}'></iframe><form id='f' method='post' action='{}'>\
         <input name='agree' value='yes'><input name='primary'><input name='replacing_backup'>\
         <button>Win a prize</button></form>",
        host.url("/tokens/edit/generate"),
        host.url("/tokens/edit/generate"),
    );
    alice.follow(&framing).await;
    let client = &alice.browser.client;
    client.clone().enter_frame(0).await.expect("a frame");
    let framed = client.source().await.expect("what is in it");
    assert!(!framed.contains("Generate New Primary"), "{framed}");
    client.clone().enter_parent_frame().await.expect("back");
    alice.click("Win a prize").await;
    let answer = client.source().await.expect("an answer");
    assert!(!answer.contains("id=\"token\""), "{answer}");
    alice.open("/tokens").await;
    alice.assert_says("You have no token yet").await;
    alice.leave().await;
}
