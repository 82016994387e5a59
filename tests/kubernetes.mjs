// Checks manifests against published schemas: `node kubernetes.mjs SCHEMAS <
// MANIFESTS`, where SCHEMAS is the folder into which tests/run.sh installs them.
// Prints what is wrong, or the manifests as JSON. Ajv sees a value of the wrong
// form, the TypeScript compiler a field that does not exist.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const schemas = resolve(process.argv[2]);
const modules = join(schemas, "node_modules");
const { parseAllDocuments } = await import(pathToFileURL(join(modules, "yaml/dist/index.js")));

const PACKAGES = {
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "gateway.envoyproxy.io": "@kubernetes-models/envoy-gateway",
  "security.istio.io": "@kubernetes-models/istio",
  "traefik.io": "@kubernetes-models/traefik",
};

// Where a kind's schema is.
function placeOf({ apiVersion, kind }) {
  const [group] = apiVersion.split("/");
  return `${PACKAGES[group] ?? "kubernetes-models"}/${apiVersion}/${kind}`;
}

// The schemas have the filters of the standard channel as names, and those of
// the experimental one as fields.
function inStandardChannel(manifest) {
  const copy = structuredClone(manifest);
  for (const filter of (copy.spec?.rules ?? []).flatMap((rule) => rule.filters ?? [])) {
    if (filter.type === "ExternalAuth" && filter.externalAuth) filter.type = "ExtensionRef";
  }
  return copy;
}

async function valuesIn(manifest) {
  const place = pathToFileURL(join(modules, `${placeOf(manifest)}.js`));
  try {
    const { [manifest.kind]: Model } = await import(place);
    new Model(manifest).validate();
    return [];
  } catch (error) {
    return [`${manifest.kind} ${manifest.metadata?.name}: ${error.message}`];
  }
}

function fieldsIn(manifests) {
  const folder = mkdtempSync(join(schemas, "check-"));
  try {
    const lines = manifests.flatMap((manifest, at) => [
      `import type { I${manifest.kind} as Kind${at} } from "${placeOf(manifest)}";`,
      `export const ${manifest.kind}${at}: Kind${at} = ${JSON.stringify(manifest)};`,
    ]);
    writeFileSync(join(folder, "check.ts"), lines.join("\n"));
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"];
    const resolution = ["--module", "nodenext", "--moduleResolution", "nodenext"];
    const program = join(modules, "typescript/bin/tsc");
    const run = [program, ...options, ...resolution, "check.ts"];
    const { status, stdout, stderr } = spawnSync(process.execPath, run, { cwd: folder });
    return status === 0 ? [] : [`${stdout}${stderr}`];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const documents = parseAllDocuments(readFileSync(0, "utf8"));
const manifests = documents.map((document) => document.toJS());
const standard = manifests.map(inStandardChannel);
const values = (await Promise.all(standard.map(valuesIn))).flat();
const wrong = [...documents.flatMap(({ errors }) => errors), ...values, ...fieldsIn(standard)];
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
console.log(JSON.stringify(manifests));
