
// Signing in: OpenID Connect's code flow with PKCE (RFC 7636, S256), and requests to our API in that person's name.
// The bearer is in this closure and nowhere else. What must outlast the way to the identity provider and back is kept
// for this tab (sessionStorage) for just that long, and opens nothing without the code that it waits for.
const person = (() => {
  const KEPT = "gonogo.sign-in";
  const part = id => document.getElementById(id);
  const told = part("signed-out").dataset;
  const here = location.origin + location.pathname;
  let bearer = null;

  const base64url = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
  const claims = token => {
    try {
      const raw = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
      return JSON.parse(new TextDecoder().decode(Uint8Array.from(raw, one => one.charCodeAt(0))));
    } catch {
      return {};
    }
  };
  const isFor = (audience, said) => said.iss === told.issuer && [said.aud].flat().includes(audience);

  const reach = async (address, whom, options = {}) => {
    const closed = { cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" };
    try {
      return await fetch(address, { ...options, ...closed });
    } catch {
      throw new Error(`${whom} did not answer. Try again.`);
    }
  };

  const leave = async () => {
    const kept = { verifier: random(), state: random(), nonce: random() };
    const hashed = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(kept.verifier));
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
    const there = new URL(told.authorizeUri, here);
    for (const [name, value] of Object.entries({
      response_type: "code", scope: "openid", client_id: told.clientId, redirect_uri: here, state: kept.state,
      nonce: kept.nonce, code_challenge: base64url(hashed), code_challenge_method: "S256",
    })) there.searchParams.set(name, value);
    location.assign(there);
  };

  // Whoever comes back with a code has it exchanged, if it is this tab that went for it; nobody else has.
  const arrive = async () => {
    const said = new URLSearchParams(location.search);
    if (location.search || location.hash) history.replaceState(null, "", location.pathname);
    const stored = sessionStorage.getItem(KEPT);
    sessionStorage.removeItem(KEPT);
    const kept = JSON.parse(stored || "null");
    if (!said.has("state")) return;
    if (!kept || said.get("state") !== kept.state) throw new Error("This tab did not ask for that. Sign in again.");
    if (!said.get("code")) {
      const why = /^[a-z_]{1,40}$/.test(said.get("error")) ? ` (${said.get("error")})` : "";
      throw new Error(`You are not signed in: your identity provider said no${why}.`);
    }
    const answer = await reach(new URL(told.tokenUri, here), "Your identity provider", {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "authorization_code", client_id: told.clientId, redirect_uri: here, code: said.get("code"),
        code_verifier: kept.verifier,
      }),
    });
    if (!answer.ok) throw new Error("Your identity provider did not take its own code. Sign in again.");
    const { access_token, id_token } = await answer.json().catch(() => ({}));
    const who = claims(id_token);
    if (who.nonce !== kept.nonce || !isFor(told.clientId, who)) {
      throw new Error("Your identity provider answered with a token that is not for this sign-in.");
    }
    bearer = [access_token, id_token].find(one => isFor(told.audience, claims(one))) || null;
    if (!bearer) throw new Error("Your identity provider gave no token for gonogo: its audience is another.");
    part("who").textContent = who.preferred_username || who.email || who.sub;
  };

  const show = () => {
    part("signed-out").hidden = bearer !== null;
    part("signed-in").hidden = bearer === null;
  };

  const tell = error => {
    part("trouble").textContent = error === null ? "" : error.message;
    part("trouble").hidden = error === null;
    show();
  };

  // Asks our API; `path` is relative, so that a stage prefix stays, and what answers is ours.
  const ask = async path => {
    const headers = { authorization: `Bearer ${bearer}` };
    const answer = await reach(new URL(path, here), "gonogo", { headers });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    if (answer.status === 401) {
      bearer = null;
      throw new Error("You are signed in no longer. Sign in again.");
    }
    throw new Error(problem.detail || `gonogo answered ${answer.status}. Try again.`);
  };

  // Signs in whoever comes back, and calls `ready` once somebody is signed in.
  const begin = async ready => {
    part("sign-in").addEventListener("click", () => leave().catch(tell));
    part("sign-out").addEventListener("click", () => location.replace(here));
    try {
      await arrive();
      show();
      if (bearer) await ready();
    } catch (error) {
      tell(error);
    }
  };

  return { ask, begin, part, tell };
})();
