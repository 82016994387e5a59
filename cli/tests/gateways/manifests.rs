//! The manifests of `examples/kubernetes`: built by kustomize, checked against
//! published schemas, and read by the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use serde_json::Value;

/// Who asks, each with the folder of its translation.
const ASKERS: [(&str, &str); 7] = [
    ("gateway-api-http", "nginx-gateway-fabric/nginx.conf"),
    ("gateway-api-grpc", "envoy-gateway-grpc/envoy.yaml"),
    ("envoy-gateway-http", "envoy-gateway-http/envoy.yaml"),
    ("envoy-gateway-grpc", "envoy-gateway-grpc/envoy.yaml"),
    ("istio-http", "istio-http/envoy.yaml"),
    ("istio-grpc", "istio-grpc/envoy.yaml"),
    ("traefik", ""),
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifests() -> PathBuf {
    project().join("examples/kubernetes")
}

fn installed() -> PathBuf {
    let folder = project().join("target/kubernetes");
    assert!(folder.exists(), "the schemas are not installed: run tests/install_gateways.sh");
    folder
}

/// What `kubectl kustomize` makes of the folder, as YAML.
fn kustomized(folder: &Path) -> String {
    let kubectl = installed().join("bin/kubectl");
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn checked(manifests: &str) -> Output {
    let mut command = Command::new("node");
    command.arg(project().join("tests/kubernetes.mjs")).arg(installed());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(manifests.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The manifests of that folder, which fit the schemas.
pub(crate) fn built(folder: &'static str) -> Vec<Value> {
    static BUILT: Mutex<BTreeMap<&str, Vec<Value>>> = Mutex::new(BTreeMap::new());
    BUILT.lock().unwrap().entry(folder).or_insert_with(|| build(folder)).clone()
}

fn build(folder: &str) -> Vec<Value> {
    let output = checked(&kustomized(&manifests().join(folder)));
    assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn one<'m>(manifests: &'m [Value], kind: &str) -> &'m Value {
    let mut found = manifests.iter().filter(|one| one["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "several of {kind}");
    first
}

#[test]
fn every_folder_fits_the_published_schemas_and_lets_its_asker_in() {
    let mut folders: BTreeSet<_> = ASKERS.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    folders.extend(["base", "translations"].map(str::to_owned));
    let there = fs::read_dir(manifests()).unwrap().map(|entry| entry.unwrap());
    let there = there.filter(|entry| entry.file_type().unwrap().is_dir());
    let there: BTreeSet<_> = there.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(there, folders);
    for (folder, _) in ASKERS {
        let manifests = built(folder);
        let policies = manifests.iter().filter(|one| one["kind"] == "NetworkPolicy");
        let rules = policies.flat_map(|one| one["spec"]["ingress"].as_array().unwrap());
        let asked = rules.map(|rule| {
            assert_eq!(rule["from"].as_array().map(Vec::len), Some(1), "{folder}: {rule}");
            rule["ports"][0]["port"].as_str().unwrap()
        });
        let asked: Vec<_> = asked.collect();
        let port = if folder.ends_with("grpc") { "ext-authz" } else { "forward-auth" };
        assert_eq!(asked, ["operations", port], "{folder}");
    }
}

#[test]
fn what_does_not_fit_is_told() {
    for (folder, right, wrong) in [
        ("base", "maxUnavailable: 0", "maxUnavailble: 0"),
        ("gateway-api-http", "allowedResponseHeaders", "allowedResponsHeaders"),
        ("envoy-gateway-grpc", "timeout: 2s", "timeout: 2 seconds"),
        ("istio-http", "action: CUSTOM", "action: CUSTOMARY"),
        ("traefik", "authResponseHeaders", "authResponseHeader"),
    ] {
        let manifests = kustomized(&manifests().join(folder));
        assert!(manifests.contains(right), "{folder}: {right}");
        let output = checked(&manifests.replace(right, wrong));
        assert_eq!(output.status.code(), Some(1), "{folder}: {wrong}: {output:?}");
    }
}

#[test]
fn the_pods_have_no_more_rights_than_they_need() {
    let manifests = built("base");
    let deployment = one(&manifests, "Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let containers = [&pod["containers"], &pod["initContainers"]];
    for container in containers.into_iter().flat_map(|some| some.as_array().unwrap()) {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"]["drop"][0], "ALL");
        assert_eq!(container["image"], "tower-api-token", "for `images` of a kustomization");
    }
    let secret = pod["volumes"].as_array().unwrap().iter().find(|one| one["name"] == "store");
    assert_eq!(secret.unwrap()["secret"]["defaultMode"], 0o440);
    let probe = |name: &str| &pod["containers"][0][name]["httpGet"];
    for (name, path) in [("readinessProbe", "/ready"), ("livenessProbe", "/health")] {
        assert_eq!(
            (&probe(name)["path"], &probe(name)["port"]),
            (&path.into(), &"operations".into())
        );
    }
}

#[test]
fn an_image_of_ones_own_takes_the_place_of_the_name() {
    let folder = tempfile::tempdir_in(installed()).unwrap();
    // No absolute path may stand there, and `target` may be a link.
    let up = fs::canonicalize(folder.path())
        .unwrap()
        .components()
        .skip(1)
        .map(|_| "../")
        .collect::<String>();
    let base = fs::canonicalize(manifests().join("base")).unwrap();
    let base = format!("{up}{}", base.strip_prefix("/").unwrap().display());
    let image = "{name: tower-api-token, newName: registry.example/auth, newTag: \"1\"}";
    let text = format!("resources: [{base}]\nimages: [{image}]\n");
    fs::write(folder.path().join("kustomization.yaml"), text).unwrap();
    let built = kustomized(folder.path());
    assert_eq!(built.matches("image: registry.example/auth:1").count(), 2);
    assert!(!built.contains("image: tower-api-token"));
}

/// Makes `ca.crt` there.
fn make_certificate(folder: &Path) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=test"]);
    command.args(["-keyout", "/dev/null", "-out", "ca.crt"]).current_dir(folder);
    assert!(command.output().unwrap().status.success());
}

/// What the program says of the settings: that it cannot reach the database,
/// which is not there, and nothing else.
#[test]
fn the_program_takes_the_settings() {
    for (folder, _) in ASKERS {
        let manifests = built(folder);
        let directory = tempfile::tempdir().unwrap();
        let secrets = directory.path().to_str().unwrap();
        make_certificate(directory.path());
        fs::write(directory.path().join("password"), "a password").unwrap();
        for secret in ["ca.crt", "password"] {
            let mode = fs::Permissions::from_mode(0o440);
            fs::set_permissions(directory.path().join(secret), mode).unwrap();
        }
        let config = one(&manifests, "ConfigMap")["data"]["config.toml"].as_str().unwrap();
        let config = config.replace("/run/secrets/tower-api-token", secrets);
        let config = config.replace("postgresql.database.svc", "127.0.0.1:1");
        let file = directory.path().join("config.toml");
        fs::write(&file, config).unwrap();
        let container = &one(&manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        let mut command = Command::new(env!("CARGO_BIN_EXE_tower-api-token"));
        command.env_clear();
        for variable in container["env"].as_array().unwrap() {
            command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
        }
        let output = command.arg("serve").env("TOWER_API_TOKEN_CONFIG", file).output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{folder}: {output:?}");
    }
}

/// The headers that the manifests name stand in their translations.
#[test]
fn the_translations_are_those_of_the_manifests() {
    for (folder, translation) in ASKERS {
        if translation.is_empty() {
            continue;
        }
        let path = manifests().join("translations").join(translation);
        let translation = fs::read_to_string(path).unwrap().to_lowercase();
        let mesh = manifests().join(folder).join("mesh-config.yaml");
        let mesh = fs::read_to_string(mesh).unwrap_or_default();
        let mut named: Vec<_> = built(folder).iter().flat_map(headers).collect();
        let listed = mesh.lines().filter_map(|line| line.strip_prefix("          - "));
        named.extend(listed.map(str::to_owned));
        assert!(!named.is_empty(), "{folder}");
        for name in named {
            let name = name.to_lowercase();
            assert!(translation.contains(&name), "{folder}: {name}");
        }
    }
}

/// The headers that a route or policy names, to be sent, told or removed.
fn headers(manifest: &Value) -> Vec<String> {
    let lists = [
        "allowedHeaders",
        "allowedResponseHeaders",
        "headersToExtAuth",
        "headersToBackend",
        "remove",
    ];
    let mut found = Vec::new();
    let mut ahead = vec![manifest];
    while let Some(value) = ahead.pop() {
        for (key, inner) in value.as_object().into_iter().flatten() {
            if lists.contains(&key.as_str()) {
                let names = inner.as_array().unwrap().iter();
                found.extend(names.map(|name| name.as_str().unwrap().to_owned()));
            }
            ahead.push(inner);
        }
        ahead.extend(value.as_array().into_iter().flatten());
    }
    found
}
