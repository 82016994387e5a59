// An OpenID Connect provider to try this folder with. Anybody signs in as anybody, with
// any password: it is for loopback addresses only.
//
//     npm install oidc-provider
//     node provider.mjs 3000 http://localhost:8080/tokens/signed-in CLIENT_SECRET

import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [port, redirect, secret] = process.argv.slice(2);

// Who is in which groups.
const groups = { carol: ["staff", "api-administrators"], mallory: ["not-api-administrators"] };

const server = createServer();
server.listen(Number(port), "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: "api-tokens", client_secret: secret, redirect_uris: [redirect] }],
    // `groups` is a scope and a claim.
    claims: { openid: ["sub"], groups: ["groups"] },
    conformIdTokenClaims: false,
    findAccount: (context, name) => ({
      accountId: name,
      claims: () => ({ sub: name, groups: groups[name] ?? ["staff"] }),
    }),
    pkce: { required: () => true },
    cookies: { keys: [secret] },
  });
  server.on("request", provider.callback());
  console.log(`issuer ${issuer}`);
});
