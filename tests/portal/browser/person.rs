//! Somebody who sits in front of a browser.

use std::time::Duration;

use fantoccini::Locator;
use fantoccini::elements::Element;

use crate::browser::driver::{Browser, Scripts};
use crate::browser::host::Host;

/// How often a browser is looked at again, and how long is waited between.
const PATIENCE: usize = 600;
const MOMENT: Duration = Duration::from_millis(50);

pub(crate) struct Person<'a> {
    pub(crate) browser: Browser,
    host: &'a Host,
}

impl<'a> Person<'a> {
    /// Somebody who has not signed in.
    pub(crate) async fn stranger(host: &'a Host) -> Self {
        Self { browser: Browser::start(Scripts::On).await, host }
    }

    /// Opens the profile, is sent to the host's sign-in, and is let back.
    pub(crate) async fn signed_in(host: &'a Host, user: &str, scripts: Scripts) -> Self {
        let person = Self { browser: Browser::start(scripts).await, host };
        person.open("/tokens").await;
        person.sign_in(user).await;
        assert!(person.address().await.ends_with("/tokens"), "{}", person.address().await);
        person
    }

    /// Fills the host's own form in.
    pub(crate) async fn sign_in(&self, user: &str) {
        self.fill("user", user).await;
        self.fill("password", self.host.password(user)).await;
        self.click("Sign in").await;
    }

    pub(crate) async fn open(&self, path: &str) {
        self.follow(&self.host.url(path)).await;
    }

    /// Opens an address, as a click in a mail program does.
    pub(crate) async fn follow(&self, address: &str) {
        self.browser.client.goto(address).await.expect("it opens");
    }

    /// Clicks on the link or button of that name, and waits for the page that it
    /// leads to.
    pub(crate) async fn click(&self, name: &str) {
        let page = self.browser.client.find(Locator::Css("html")).await.expect("a page");
        self.find_named(name).await.click().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        for _ in 0..PATIENCE {
            if page.tag_name().await.is_err() {
                return;
            }
            tokio::time::sleep(MOMENT).await;
        }
        panic!("{name} leads nowhere");
    }

    pub(crate) async fn find_named(&self, name: &str) -> Element {
        let path = format!(
            "//a[normalize-space()='{name}' or strong[normalize-space()='{name}']] \
             | //button[normalize-space()='{name}']"
        );
        let found = self.browser.client.find(Locator::XPath(&path)).await;
        match found {
            Ok(found) => found,
            Err(error) => panic!("{name}: {error}: {}", self.text().await),
        }
    }

    /// Whether there is a link or button of that name.
    pub(crate) async fn sees(&self, name: &str) -> bool {
        let path = format!(
            "//a[normalize-space()='{name}' or strong[normalize-space()='{name}']] \
             | //button[normalize-space()='{name}']"
        );
        !self.browser.client.find_all(Locator::XPath(&path)).await.expect("it is read").is_empty()
    }

    /// Ticks, or unticks, the box whose label holds these words.
    pub(crate) async fn tick(&self, words: &str) {
        let path = format!("//label[contains(normalize-space(), \"{words}\")]");
        let label = self.browser.client.find(Locator::XPath(&path)).await.expect("a label");
        label.click().await.expect("it is clicked");
    }

    /// Opens what is folded under these words.
    pub(crate) async fn unfold(&self, words: &str) {
        let path = format!("//summary[normalize-space()='{words}']");
        let summary = self.browser.client.find(Locator::XPath(&path)).await.expect("a summary");
        summary.click().await.expect("it is clicked");
    }

    pub(crate) async fn fill(&self, field: &str, text: &str) {
        let selector = format!("input[name='{field}']");
        let input = self.browser.client.find(Locator::Css(&selector)).await.expect("a field");
        input.clear().await.expect("it is cleared");
        input.send_keys(text).await.expect("it is typed");
    }

    /// What the page says.
    pub(crate) async fn text(&self) -> String {
        // A page that is just being replaced has none.
        for _ in 0..PATIENCE {
            if let Ok(main) = self.browser.client.find(Locator::Css("main")).await
                && let Ok(text) = main.text().await
            {
                return text;
            }
            tokio::time::sleep(MOMENT).await;
        }
        panic!("no page has come");
    }

    pub(crate) async fn assert_says(&self, words: &str) {
        let text = self.text().await;
        assert!(text.contains(words), "{words:?} is not in: {text}");
    }

    /// The new token, as it is shown.
    pub(crate) async fn shown_token(&self) -> String {
        let token = self.browser.client.find(Locator::Id("token")).await.expect("a token");
        token.text().await.expect("its text")
    }

    pub(crate) async fn address(&self) -> String {
        self.browser.client.current_url().await.expect("an address").to_string()
    }

    pub(crate) async fn leave(self) {
        self.browser.close().await;
    }

    /// Edit, the named change, its confirmation, and Save: what a person does
    /// for each of the changes.
    pub(crate) async fn edit(&self, change: &str, agree: &str) {
        self.open("/tokens").await;
        self.click("Edit").await;
        self.click(change).await;
        self.tick(agree).await;
        self.click("Save").await;
    }
}
