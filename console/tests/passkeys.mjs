// Passkeys of a program's own page: Chromium makes them in an authenticator that is only software,
// the official Node SDK takes what it made to Verify.

import { strict as assert } from "node:assert";
import { createServer } from "node:http";
import twilio from "twilio";
import { tab } from "./support.mjs";

const ADA = "ada-00001";

/** The SDK of the platform's main account. */
function sdk({ url, env }) {
  class Client extends twilio.RequestClient {
    request(options) {
      const { hostname, pathname, search } = new URL(options.uri);
      const uri = `${url}/_/${hostname.split(".")[0]}${pathname}${search}`;
      return super.request({ ...options, uri });
    }
  }
  return twilio(env.account_sid, env.auth_token, { httpClient: new Client() });
}

/** A page at http://localhost; only there and with https browsers have passkeys. */
async function site() {
  const server = createServer((_, response) => {
    response.writeHead(200, { "Content-Type": "text/html" });
    response.end("<!doctype html><link rel=icon href='data:,'><title>Owl</title>");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const end = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return { origin: `http://localhost:${server.address().port}`, end };
}

/** A tab on the page whose authenticator says yes at once. */
async function visitor(chrome, origin) {
  const page = await tab(chrome, origin);
  await page.goto(origin);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable", { enableUI: false });
  await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return page;
}

const create = (page, options) =>
  page.evaluate(async (json) => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(json);
    return (await navigator.credentials.create({ publicKey })).toJSON();
  }, options);

const get = (page, options) =>
  page.evaluate(async (json) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(json);
    return (await navigator.credentials.get({ publicKey })).toJSON();
  }, options);

const refused = (call, code) => assert.rejects(call, (error) => error.code === code);

async function passkeys({ world, chrome }) {
  const own = await site();
  const other = await site();
  const page = await visitor(chrome, own.origin);
  const stranger = await visitor(chrome, other.origin);
  try {
    const { services } = sdk(world).verify.v2;
    const made = await services.create({
      friendlyName: "Owl",
      "passkeys.relyingParty.id": "localhost",
      "passkeys.relyingParty.name": "Owl Inc",
      "passkeys.relyingParty.origins": own.origin,
      "passkeys.userVerification": "required",
    });
    const service = services(made.sid);
    const enrol = () => service.newFactors.create({ friendly_name: "Ada's laptop", identity: ADA });

    // What a page of another origin made is for nobody, though the browser lets it.
    const astray = await enrol();
    const foreign = await create(stranger, astray.options.publicKey);
    await refused(service.newVerifyFactors.update(foreign), 60382);

    const factor = await enrol();
    assert.deepEqual([factor.status, factor.factorType], ["unverified", "passkeys"]);
    const credential = await create(page, factor.options.publicKey);
    const verified = await service.newVerifyFactors.update(credential);
    assert.deepEqual([verified.sid, verified.status], [factor.sid, "verified"]);
    await refused(service.newVerifyFactors.update(credential), 60390);

    const ask = (whom) => service.newChallenge().create(whom);
    const challenge = await ask({ identity: ADA });
    const answer = await get(page, challenge.options.publicKey);
    assert.equal(answer.id, credential.id);
    const approved = await service.approveChallenge.update(answer);
    assert.deepEqual(
      [approved.sid, approved.status, approved.factorSid, approved.identity],
      [challenge.sid, "approved", factor.sid, ADA],
    );
    await refused(service.approveChallenge.update(answer), 60391);

    // A signature for one challenge answers no other.
    const next = await ask({ identity: ADA });
    const later = await get(page, next.options.publicKey);
    const { clientDataJSON } = later.response;
    const mixed = { ...answer, response: { ...answer.response, clientDataJSON } };
    await refused(service.approveChallenge.update(mixed), 60381);
    assert.equal((await service.approveChallenge.update(later)).status, "approved");

    // Who it is may be left to the passkey: it lies on the device with its user.
    const anyone = await ask({});
    assert.equal(anyone.identity, "");
    const found = await get(page, anyone.options.publicKey);
    const told = await service.approveChallenge.update(found);
    assert.deepEqual([told.status, told.identity], ["approved", ADA]);
    assert.equal(Buffer.from(found.response.userHandle, "base64url").toString(), factor.entitySid);

    assert.deepEqual([...page.faults, ...page.foreign], []);
  } finally {
    await page.context().close();
    await stranger.context().close();
    await own.end();
    await other.end();
  }
}

export const stories = { "passkeys of a program's page": passkeys };
