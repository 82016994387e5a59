//! The user's procedure, click by click.

use crate::browser::api::{call, get};
use crate::browser::driver::Scripts;
use crate::browser::host::Host;
use crate::browser::person::Person;

const GENERATE: (&str, &str) = ("Generate New Primary", "Generate a new primary token");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_procedure_with_scripts_on() {
    procedure(Scripts::On).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_procedure_with_scripts_off() {
    procedure(Scripts::Off).await;
}

async fn procedure(scripts: Scripts) {
    let host = Host::start();
    let alice = Person::signed_in(&host, "alice", scripts).await;
    alice.assert_says("You have no token yet").await;

    // The first token.
    alice.edit(GENERATE.0, GENERATE.1).await;
    let first = alice.shown_token().await;
    alice.assert_says("It does not work yet.").await;
    assert_eq!(alice.sees("Copy").await && is_shown(&alice).await, scripts == Scripts::On);
    assert_eq!(get(host.address, &first), 401, "not before the mail is followed");
    confirm(&host, &alice, &first).await;
    assert_eq!(get(host.address, &first), 200);
    assert_eq!(call(host.address, "POST", &first).0, 403, "alice may read");

    // The second: the first becomes the backup.
    alice.edit(GENERATE.0, GENERATE.1).await;
    let second = alice.shown_token().await;
    assert_eq!((get(host.address, &first), get(host.address, &second)), (200, 401));
    confirm(&host, &alice, &second).await;
    alice.assert_says("Backup").await;
    assert_eq!(call(host.address, "GET", &first), (200, "backup".to_owned()));
    assert_eq!(call(host.address, "GET", &second), (200, String::new()));

    // It is still in use, and the page says by what.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    alice.open("/tokens").await;
    alice.assert_says("The backup is still in use.").await;
    alice.assert_says("fruit-client/1.0").await;
    alice.edit("Delete Backup", "Delete the backup").await;
    alice.assert_says("Nothing has changed").await;
    assert_eq!((get(host.address, &first), get(host.address, &second)), (200, 200));
    alice.tick("Delete the backup").await;
    alice.tick("End it all the same").await;
    alice.click("Save").await;
    alice.assert_says("Saved. Backup deleted: token 1.").await;
    assert_eq!((get(host.address, &first), get(host.address, &second)), (401, 200));
    let notice = host.mail.next();
    assert!(!notice.all().contains(&second), "{notice:?}");

    // A third, given up again.
    alice.edit(GENERATE.0, GENERATE.1).await;
    let third = alice.shown_token().await;
    confirm(&host, &alice, &third).await;
    assert_eq!((get(host.address, &second), get(host.address, &third)), (200, 200));
    alice.edit("Make the backup primary again", "Give up").await;
    if alice.text().await.contains("Nothing has changed") {
        alice.tick("Give up").await;
        alice.tick("End it all the same").await;
        alice.click("Save").await;
    }
    alice.assert_says("made the primary again").await;
    assert_eq!((get(host.address, &second), get(host.address, &third)), (200, 401));
    host.mail.next();

    // It leaks.
    alice.edit("Revoke everything now", "End every token at once").await;
    alice.assert_says("Saved. Every token revoked.").await;
    assert_eq!((get(host.address, &second), get(host.address, &third)), (401, 401));
    host.mail.next();
    alice.leave().await;
}

/// Follows the mailed link and presses its button.
async fn confirm(host: &Host, alice: &Person<'_>, token: &str) {
    let mail = host.mail.next();
    assert_eq!(mail.to, ["alice@fruit.example"]);
    assert!(!mail.all().contains(token), "no token in a mail");
    let link = mail.link();
    assert!(link.starts_with(&host.url("/tokens/verify?code=tac_")), "{link}");
    alice.follow(&link).await;
    alice.assert_says("What will happen").await;
    let before = get(host.address, token);
    assert_eq!(before, 401, "opening the link changes nothing");
    alice.click("Activate the new token").await;
    alice.assert_says("confirmed as the primary").await;
    let notice = host.mail.next();
    assert!(!notice.all().contains("code="), "{notice:?}");
}

/// Whether the copy button shows.
async fn is_shown(alice: &Person<'_>) -> bool {
    alice.find_named("Copy").await.is_displayed().await.expect("it is seen or not")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_and_reload_show_no_token_again_and_confirm_nothing_twice() {
    let host = Host::start();
    let alice = Person::signed_in(&host, "alice", Scripts::On).await;
    alice.edit(GENERATE.0, GENERATE.1).await;
    let token = alice.shown_token().await;
    alice.click("I have stored it: to the profile").await;
    alice.browser.client.back().await.expect("back");
    let source = alice.browser.client.source().await.expect("a page");
    assert!(!source.contains(&token), "the browser has not kept it");
    let link = host.mail.next().link();
    alice.follow(&link).await;
    alice.click("Activate the new token").await;
    alice.assert_says("Token 1 confirmed as the primary").await;
    alice.browser.client.refresh().await.expect("a reload");
    assert_eq!(get(host.address, &token), 200);
    alice.browser.client.back().await.expect("back");
    // A browser may have kept the page; its button then does nothing.
    if alice.sees("Activate the new token").await {
        alice.click("Activate the new token").await;
    }
    alice.assert_says("Token 1 is active already").await;
    assert_eq!(get(host.address, &token), 200);
    alice.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_opened_before_the_sign_in_leads_to_the_page_that_asks_for_the_code() {
    let host = Host::start();
    let alice = Person::signed_in(&host, "alice", Scripts::On).await;
    alice.edit(GENERATE.0, GENERATE.1).await;
    let token = alice.shown_token().await;
    let link = host.mail.next().link();
    alice.leave().await;

    let later = Person::stranger(&host).await;
    later.follow(&link).await;
    let address = later.address().await;
    assert!(address.contains("/sign-in?return_to=") && !address.contains("tac_"), "{address}");
    later.sign_in("alice").await;
    later.assert_says("Confirmation code").await;
    later.fill("code", link.split("code=").nth(1).expect("a code")).await;
    later.click("Activate the new token").await;
    later.assert_says("Token 1 confirmed as the primary").await;
    assert_eq!(get(host.address, &token), 200);
    later.leave().await;
}
