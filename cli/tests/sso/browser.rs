//! What drives the browser, which the tests of the pages share.

#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../../../tests/portal/browser/driver.rs"]
pub(crate) mod driver;
#[path = "../../../tests/portal/browser/process.rs"]
pub(crate) mod process;
