//! The alert rules and the dashboard of `examples/monitoring`: what `promtool` says
//! of them, and that every measurement, label and value that they name exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::documentation::everything;
use super::recorded::Recorded;

/// What Prometheus adds to every series, and what a histogram has.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Labels whose values a host names.
const OF_THE_HOST: [&str; 4] = ["job", "instance", "le", "receiver"];

/// The values of each label of each series.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/monitoring")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

/// Runs `promtool` in the folder, and gives what it says.
fn promtool(arguments: &[&str]) -> String {
    let ran = Command::new("promtool").args(arguments).current_dir(folder()).output();
    let ran = ran.expect("promtool is not installed: tests/run.sh installs it");
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(ran.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn the_rules_are_well_formed_and_prometheus_takes_them() {
    let said = promtool(&["check", "config", "prometheus.yml"]);
    assert!(said.contains(&format!("{} rules found", alerts().len())), "{said}");
    promtool(&["check", "rules", "alerts.yml"]);
}

#[test]
fn each_rule_fires_when_it_should_and_is_silent_when_it_should() {
    promtool(&["test", "rules", "alerts_test.yml"]);
    let tested = read("alerts_test.yml");
    for alert in alerts() {
        assert!(tested.contains(&alert), "no test has {alert} fire");
    }
}

/// The names of the alerts.
fn alerts() -> Vec<String> {
    let rules = read("alerts.yml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[test]
fn prometheus_understands_every_query_of_the_dashboard() {
    let rules: Vec<_> = queries(&dashboard()).into_iter().map(rule).collect();
    assert!(rules.len() > 20, "{rules:?}");
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    std::fs::write(file.path(), rules.to_string()).unwrap();
    promtool(&["check", "rules", "--lint=none", file.path().to_str().unwrap()]);
}

/// A rule with the query, as Grafana would send it.
fn rule((number, query): (usize, String)) -> Value {
    let query = query.replace("$__rate_interval", "1m");
    let query = query.replace("$job", ".*").replace("$instance", ".*");
    json!({ "record": format!("panel:query:{number}"), "expr": query })
}

fn dashboard() -> Value {
    serde_json::from_str(&read("dashboard.json")).expect("JSON")
}

/// The queries of the panels, with their numbers.
fn queries(dashboard: &Value) -> Vec<(usize, String)> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).enumerate().collect()
}

#[tokio::test(start_paused = true)]
async fn each_measurement_label_and_value_that_they_name_exists() {
    let recorded = Recorded::with_ranges(&[0.1]);
    everything().await;
    let series = series(&recorded.page());
    let texts = texts();
    assert!(texts.len() > 30, "{texts:#?}");
    let wrong: Vec<_> = texts.iter().flat_map(|text| faults(&series, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");

    // It finds what does not exist.
    for bad in [
        "rate(tower_api_token_decision_total[5m])",
        "tower_api_token_decisions_total{result=\"pass\"}",
        "tower_api_token_decisions_total{outcome=\"passed\"}",
        "tower_api_token_store_errors_total{kind=~\"corrupt|newer\"}",
        "sum by (outcom) (tower_api_token_decisions_total)",
        "max (tower_api_token_users_on_backup) {{ $labels.within }}",
        "tower_api_token_store_seconds_buckets",
    ] {
        assert_eq!(faults(&series, bad).len(), 1, "{bad}");
    }
}

/// Each rule, each case and each query of the dashboard, alone.
fn texts() -> Vec<String> {
    let (rules, tested, dashboard) = (read("alerts.yml"), read("alerts_test.yml"), dashboard());
    let rules = rules.split("- alert: ").skip(1).map(str::to_owned);
    let cases = tested.lines().filter_map(|line| line.trim().strip_prefix("- series: "));
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
    let variables = variables.filter_map(|variable| variable["definition"].as_str());
    let shown = queries(&dashboard).into_iter().map(|(_, query)| query);
    rules.chain(cases.chain(variables).map(str::to_owned)).chain(shown).collect()
}

/// The series of a page that Prometheus reads.
fn series(page: &str) -> Series {
    let mut series = Series::new();
    for line in page.lines().filter(|line| line.starts_with("tower_api_token_")) {
        let (series_name, _) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series_name.split_once('{').unwrap_or((series_name, ""));
        let of_name = series.entry(name.to_owned()).or_default();
        for (label, value) in matchers(labels) {
            of_name.entry(label).or_default().insert(value);
        }
    }
    series
}

/// What stands between the braces: each label and its value.
fn matchers(text: &str) -> Vec<(String, String)> {
    let (text, _) = text.split_once('}').unwrap_or((text, ""));
    let mut parts = text.split('"');
    let mut matchers = Vec::new();
    while let (Some(label), Some(value)) = (parts.next(), parts.next()) {
        let label = label.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        matchers.push((label.to_owned(), value.to_owned()));
    }
    matchers
}

/// What a text names that does not exist.
fn faults(series: &Series, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED.into();
    for (at, _) in text.match_indices("tower_api_token_") {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        match series.get(name) {
            None => faults.push(format!("{name} does not exist: {text}")),
            Some(known) => {
                labels.extend(known.keys().map(String::as_str));
                let named = rest.strip_prefix('{').map(matchers).unwrap_or_default();
                faults.extend(named.iter().filter_map(|named| unknown(known, named)));
            }
        }
    }
    let grouped = grouped_by(text).into_iter().filter(|label| !labels.contains(label));
    faults.extend(grouped.map(|label| format!("{label} is no label there: {text}")));
    faults
}

fn unknown(
    known: &BTreeMap<String, BTreeSet<String>>,
    (label, value): &(String, String),
) -> Option<String> {
    if OF_THE_HOST.contains(&label.as_str())
        && (ADDED.contains(&label.as_str()) || known.contains_key(label))
    {
        return None;
    }
    let Some(values) = known.get(label) else { return Some(format!("{label} is no label")) };
    let wrong = value.split('|').find(|value| !values.contains(*value))?;
    Some(format!("{label} is never {wrong}"))
}

/// The labels that a text groups by or shows, wherever they stand.
fn grouped_by(text: &str) -> Vec<&str> {
    let lists = ["by (", "on (", "ignoring (", "without ("].into_iter();
    let lists = lists.flat_map(|start| text.split(start).skip(1));
    let listed = lists.filter_map(|rest| rest.split(')').next()).flat_map(|list| list.split(','));
    let shown = text.split("$labels.").skip(1).filter_map(|rest| rest.split(' ').next());
    listed.map(str::trim).chain(shown).filter(|label| !label.is_empty()).collect()
}
