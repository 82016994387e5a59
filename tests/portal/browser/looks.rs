//! Every page at desktop and phone width, in both colour schemes: how it looks,
//! and what axe-core finds.

use std::path::PathBuf;

use serde_json::Value;

use crate::browser::driver::{Browser, Scripts};
use crate::browser::host::Host;
use crate::browser::person::Person;

const DESKTOP: (u32, bool, &str) = (1_180, false, "desktop");
const PHONE: (u32, bool, &str) = (390, true, "phone");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_accessible_and_photographed() {
    let host = Host::start();
    let alice = Person::signed_in(&host, "alice", Scripts::On).await;
    look(&alice.browser, "profile_empty").await;

    alice.edit("Generate New Primary", "Generate a new primary token").await;
    let first = alice.shown_token().await;
    look(&alice.browser, "new_token").await;
    alice.open("/tokens").await;
    look(&alice.browser, "profile_pending").await;
    alice.open("/tokens/verify").await;
    look(&alice.browser, "verify_typing").await;
    let link = host.mail.next().link();
    alice.follow(&link).await;
    look(&alice.browser, "verify_first").await;
    alice.click("Activate the new token").await;
    alice.follow(&link).await;
    look(&alice.browser, "verify_used").await;
    alice.open("/tokens/verify?code=tac_00000000000000000000000000000000").await;
    look(&alice.browser, "verify_unknown").await;

    alice.edit("Generate New Primary", "Generate a new primary token").await;
    host.mail.next();
    alice.follow(&host.mail.next().link()).await;
    look(&alice.browser, "verify").await;
    alice.click("Activate the new token").await;
    crate::browser::api::get(host.address, &first);
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    alice.open("/tokens?saved").await;
    look(&alice.browser, "profile").await;
    alice.open("/tokens/edit").await;
    look(&alice.browser, "edit").await;
    for action in ["generate", "delete-backup", "roll-back", "revoke-all"] {
        alice.open(&format!("/tokens/edit/{action}")).await;
        look(&alice.browser, &format!("edit_{action}")).await;
    }
    alice.edit("Delete Backup", "Delete the backup").await;
    alice.assert_says("Nothing has changed").await;
    look(&alice.browser, "edit_in_use").await;
    alice.open("/tokens/advice").await;
    look(&alice.browser, "advice").await;
    alice.open("/tokens/admin").await;
    look(&alice.browser, "refused").await;
    alice.leave().await;

    let root = Person::signed_in(&host, "root", Scripts::On).await;
    look(&root.browser, "no_access").await;
    root.open("/tokens/admin").await;
    look(&root.browser, "admin").await;
    root.open("/tokens/admin?find=bob").await;
    look(&root.browser, "admin_find").await;
    root.open("/tokens/admin/user?user=alice").await;
    look(&root.browser, "admin_user").await;
    root.open("/tokens/admin/revoke?user=alice").await;
    look(&root.browser, "admin_revoke").await;
    root.open("/tokens/admin/erase?user=alice").await;
    look(&root.browser, "admin_erase").await;
    root.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lifetimes_suspension_and_the_log_are_accessible_and_need_no_script() {
    let host = Host::start();
    let alice = Person::signed_in(&host, "alice", Scripts::On).await;
    for _ in 0..2 {
        alice.edit("Generate New Primary", "Generate a new primary token").await;
        alice.follow(&host.mail.next().link()).await;
        alice.click("Activate the new token").await;
        host.mail.next();
    }
    let root = Person::signed_in(&host, "root", Scripts::On).await;
    let look = async |person: &Person<'_>, name: &str| {
        // axe does not run where scripts are off. Without a script of its own a page is the
        // same there.
        let scripts = "return document.scripts.length";
        let scripts = person.browser.client.execute(scripts, Vec::new()).await.expect("a number");
        assert_eq!(scripts, 0, "{name}");
        look(&person.browser, name).await;
    };
    root.open("/tokens/admin/user?user=alice").await;
    root.fill("token_lifetime", "a week").await;
    root.click("Save").await;
    root.assert_says("a whole number and s, m, h or d").await;
    look(&root, "admin_lifetime_refused").await;
    root.fill("token_lifetime", "7d").await;
    root.fill("backup_lifetime", "3h").await;
    root.click("Save").await;
    root.assert_says("each token for 7 days, a backup for 3 hours").await;
    look(&root, "admin_lifetimes").await;
    alice.open("/tokens").await;
    alice.assert_says("in 7 days").await;
    look(&alice, "profile_ends").await;

    root.click("Suspend access").await;
    look(&root, "admin_suspend").await;
    root.tick("Suspend the API access of alice").await;
    root.click("Save").await;
    look(&root, "admin_suspended").await;
    alice.open("/tokens").await;
    alice.assert_says("Your API access is suspended").await;
    look(&alice, "profile_suspended").await;
    alice.open("/tokens/edit").await;
    look(&alice, "edit_suspended").await;
    alice.open("/tokens/edit/generate").await;
    look(&alice, "edit_generate_suspended").await;
    root.click("Administration").await;
    look(&root, "admin_list_suspended").await;
    root.open("/tokens/admin?expiring_within=30d&suspended=yes").await;
    root.assert_says("alice").await;
    look(&root, "admin_filter").await;
    root.open("/tokens/admin/resume?user=alice").await;
    look(&root, "admin_resume").await;

    root.open("/tokens/admin/audit").await;
    root.assert_says("API access suspended").await;
    look(&root, "audit").await;
    root.fill("user", "nobody").await;
    root.click("Show").await;
    look(&root, "audit_empty").await;
    root.click("Show all").await;
    alice.leave().await;
    root.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_token_is_shown_again_on_an_accessible_page() {
    let host = Host::that_keeps_tokens();
    let alice = Person::signed_in(&host, "alice", Scripts::On).await;
    alice.edit("Generate New Primary", "Generate a new primary token").await;
    let token = alice.shown_token().await;
    alice.follow(&host.mail.next().link()).await;
    alice.click("Activate the new token").await;
    alice.open("/tokens").await;
    look(&alice.browser, "profile_kept").await;
    alice.click("View token 1").await;
    assert_eq!(alice.shown_token().await, token);
    look(&alice.browser, "revealed").await;
    alice.open("/tokens").await;
    alice.assert_says("Token 1 shown again").await;
    alice.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_with_the_logo_and_the_colours_of_their_host_are_accessible() {
    let logo = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"320\" height=\"80\">\
                <script>top.document.title = 'run'</script>\
                <rect width=\"320\" height=\"80\" style=\"fill: #5b2a86\"/></svg>";
    let colours = ":root { --accent: #5b2a86; --accent-strong: #43205f; } \
                   @media (prefers-color-scheme: dark) { \
                     :root { --accent: #c9a7e8; --accent-strong: #dfc8f3; } }";
    let host = Host::that_looks_so(logo, colours);
    let alice = Person::signed_in(&host, "alice", Scripts::On).await;
    look(&alice.browser, "branded_profile").await;
    alice.browser.look(1_180, false, "light").await;
    let seen = "const logo = document.querySelector('.brand img'); \
                return [logo.naturalWidth, logo.clientWidth, logo.clientHeight, \
                        getComputedStyle(document.body).getPropertyValue('--accent').trim()]";
    let seen = alice.browser.client.execute(seen, Vec::new()).await.expect("values");
    assert_eq!(seen, serde_json::json!([320, 112, 28, "#5b2a86"]));
    alice.open("/tokens/edit/generate").await;
    look(&alice.browser, "branded_generate").await;

    // By its own address it is an image, too, whose script does not run.
    alice.open("/tokens").await;
    let logo = "return document.querySelector('.brand img').src";
    let logo = alice.browser.client.execute(logo, Vec::new()).await.expect("an address");
    alice.follow(logo.as_str().expect("an address")).await;
    let run = "return [document.documentElement.localName, \
                       getComputedStyle(document.querySelector('rect')).fill, document.title]";
    let run = alice.browser.client.execute(run, Vec::new()).await.expect("values");
    assert_eq!(run, serde_json::json!(["svg", "rgb(91, 42, 134)", ""]));
    alice.leave().await;
}

/// Photographs the page as it is, and has axe look at it.
async fn look(browser: &Browser, name: &str) {
    for (width, is_phone, form) in [DESKTOP, PHONE] {
        for scheme in ["light", "dark"] {
            browser.look(width, is_phone, scheme).await;
            let file = screenshots().join(format!("{name}_{form}_{scheme}.png"));
            std::fs::write(file, browser.screenshot().await).expect("it is written");
            let overflow = "return document.documentElement.scrollWidth - innerWidth";
            let overflow = browser.client.execute(overflow, Vec::new()).await.expect("a number");
            assert!(overflow.as_i64() <= Some(0), "{name} {form} is {overflow} too wide");
            let violations = axe(browser).await;
            assert!(violations.is_empty(), "{name} {form} {scheme}: {violations:#?}");
        }
    }
}

/// Serious and critical violations.
async fn axe(browser: &Browser) -> Vec<String> {
    let script = std::fs::read_to_string(target().join("axe/node_modules/axe-core/axe.min.js"));
    let script = script.expect("run tests/run.sh once: it installs axe-core");
    let run = "return axe.run(document).then(found => found.violations.map(one => \
               [one.impact, one.id, one.help, one.nodes.map(node => node.html).join(' ')]))";
    let found = browser.client.execute(&format!("{script}\n{run}"), Vec::new()).await;
    let found = found.expect("axe runs");
    let found = found.as_array().expect("a list").iter();
    let serious = |one: &&Value| ["serious", "critical"].contains(&one[0].as_str().unwrap_or("?"));
    found.filter(serious).map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_a_violation_where_there_is_one() {
    let browser = Browser::start(Scripts::On).await;
    let page = "data:text/html,<title>x</title><img src='x'><p style='color:%23ccc'>pale</p>";
    browser.client.goto(page).await.expect("it opens");
    let found = axe(&browser).await.join("\n");
    assert!(found.contains("image-alt") && found.contains("color-contrast"), "{found}");
    browser.close().await;
}

fn screenshots() -> PathBuf {
    let directory = target().join("screenshots");
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

fn target() -> PathBuf {
    // target/<profile>/deps/<test>
    let this_test = std::env::current_exe().expect("the path of this test");
    this_test.ancestors().nth(3).expect("the target directory").to_owned()
}
