//! Whether an answer is one that the OpenAPI document describes.

use serde_json::{Value, json};

use crate::web::world::Answer;

/// Holds the answer of a described operation against the document: its status,
/// its content type, and every member of its body.
pub(crate) fn hold(document: &Value, method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let operation = &document["paths"][path][method.to_lowercase()];
    if operation.is_null() {
        return;
    }
    let what = format!("{method} {path}: {} {}", answer.status, answer.text);
    let mut described = &operation["responses"][answer.status.as_str()];
    if let Some(name) = described["$ref"].as_str() {
        described = document.pointer(&name[1..]).expect("a component");
    }
    assert!(described.is_object(), "not described: {what}");
    match described["content"].as_object() {
        None => assert!(answer.text.is_empty(), "{what}"),
        Some(content) => {
            let media = &content[answer.header("content-type")];
            hold_body(document, &media["schema"], &answer.json(), &what);
        }
    }
}

fn hold_body(document: &Value, schema: &Value, body: &Value, what: &str) {
    let schema = json!({ "allOf": [schema], "components": document["components"] });
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let faults: Vec<_> = validator.iter_errors(body).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{what}: {faults:?}");
}
