//! Chromium without a screen, driven through its own WebDriver server.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use crate::browser::process::Process;

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

/// A browser with a profile of its own.
pub(crate) struct Browser {
    pub(crate) client: Client,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start(scripts: Scripts) -> Self {
        let driver = Process::start(Command::new("chromedriver").arg("--port=0"));
        let port = driver.said("started successfully on port ");
        let profile = tempfile::tempdir().expect("a directory");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path(), scripts))
            .connect(&format!("http://127.0.0.1:{}", port.trim_end_matches('.')))
            .await
            .expect("a session");
        Self { client, _driver: driver, _profile: profile }
    }

    /// A command of the browser's own protocol.
    pub(crate) async fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(Devtools { command, parameters }).await.expect("it is obeyed")
    }

    /// Makes the window that of a phone or of a desktop, in that colour scheme.
    pub(crate) async fn look(&self, width: u32, is_phone: bool, scheme: &str) {
        let (height, scale) = if is_phone { (844, 2) } else { (900, 1) };
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// The whole page as a PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let (width, height) = (&size["cssContentSize"]["width"], &size["cssContentSize"]["height"]);
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let how = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.devtools("Page.captureScreenshot", how).await;
        STANDARD.decode(taken["data"].as_str().expect("an image")).expect("base64")
    }

    /// Ends the browser; a test that fails leaves that to the driver's end.
    pub(crate) async fn close(self) {
        self.client.clone().close().await.expect("it ends");
    }
}

fn capabilities(profile: &std::path::Path, scripts: Scripts) -> serde_json::Map<String, Value> {
    let profile = format!("--user-data-dir={}", profile.display());
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        &profile,
    ];
    let javascript = if scripts == Scripts::On { 1 } else { 2 };
    let options = json!({
        "args": arguments,
        "prefs": { "profile.managed_default_content_settings.javascript": javascript },
    });
    let capabilities = json!({ "browserName": "chrome", "goog:chromeOptions": options });
    capabilities.as_object().expect("an object").clone()
}

#[derive(Debug)]
struct Devtools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (http::Method::POST, Some(body.to_string()))
    }
}
