// The twenty calls of scenario.py by a client that was made from the OpenAPI document.
// docs/client.md says how to run it.

import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const client = createClient<paths>({
  baseUrl: process.env.ORIGIN,
  headers: { Authorization: `Bearer ${process.env.KEY}` },
});
const once = () => ({ "Idempotency-Key": `"${crypto.randomUUID()}"` });

type Answer<T> = { data?: T; error?: { code: string; detail: string }; response: Response };
function got<T>({ data, error, response }: Answer<T>): T {
  if (error || data === undefined)
    throw new Error(`${response.status} ${error?.code}: ${error?.detail}`);
  return data;
}
function sure(holds: boolean, words: string) {
  if (!holds) throw new Error(words);
}

const key = got(await client.GET("/v1/key"));
sure(key.scopes.length > 0, "scopes");
got(
  await client.PUT("/v1/attributes/{name}", {
    params: { path: { name: "usual_shop" } },
    body: {
      label: "Usual shop", type: "text", purpose: "For opening hours.",
      basis: "legitimate_interests", origin: "From you.", retention: "P24M",
    },
  }),
);
got(
  await client.PUT("/v1/interaction-kinds/{name}", {
    params: { path: { name: "purchase" } },
    body: { label: "Purchase", purpose: "Because tax law says so.", retention: "P6Y" },
  }),
);
const purpose = got(
  await client.POST("/v1/purposes", {
    params: { header: once() },
    body: { slug: "corner-letter", name: "The Corner Letter", basis: "consent" },
  }),
);
const notice = got(
  await client.POST("/v1/purposes/{purpose_id}/notices", {
    params: { path: { purpose_id: purpose.id }, header: once() },
    body: {
      locale: "en", text: "Yes, send me The Corner Letter by e-mail. I can stop at any time.",
      control_label: "Send me The Corner Letter", accepts: ["former_double_opt_in"],
    },
  }),
);
const nora = got(
  await client.POST("/v1/customers", {
    params: { header: once() }, body: { address: "nora@example.com", name: "Nora" },
  }),
);
const found = got(
  await client.POST("/v1/customers/search", { body: { address: "NORA@example.com" } }),
);
sure(found.length === 1 && found[0].id === nora.id, "search");
const changed = got(
  await client.PATCH("/v1/customers/{id}", {
    params: { path: { id: nora.id }, header: { "If-Match": `"v${nora.version}"` } },
    body: { name: "Nora B." },
    headers: { "Content-Type": "application/merge-patch+json" },
  }),
);
sure(changed !== null && changed.version > nora.version, "version");
const id = { path: { id: nora.id } };
got(
  await client.PUT("/v1/customers/{id}/attributes", {
    params: id, body: { usual_shop: "Harbour" },
  }),
);
got(
  await client.POST("/v1/customers/{id}/interactions", {
    params: { ...id, header: once() }, body: { kind: "purchase", title: "Two loaves" },
  }),
);
const bought = got(await client.GET("/v1/customers/{id}/interactions", { params: id }));
sure(bought.map((each) => each.title).join() === "Two loaves", "interactions");
const given = got(
  await client.POST("/v1/customers/{id}/consent-events", {
    params: { ...id, header: once() },
    body: {
      purpose: purpose.id, status: "given", notice: notice.id,
      evidence: { kind: "former_double_opt_in" },
    },
  }),
);
const check = got(
  await client.GET("/v1/consents/check", {
    params: { query: { customer: nora.id, purpose: purpose.id } },
  }),
);
sure(check.authorises && check.event_id === given.id, "check");
const campaign = got(
  await client.POST("/v1/campaigns", {
    params: { header: once() },
    body: {
      purpose_id: purpose.id, subject: "Rye on Saturdays", source: "# Rye\n\nThere is rye bread.",
    },
  }),
);
const draft = got(
  await client.GET("/v1/campaigns/{id}", { params: { path: { id: campaign.id } } }),
);
sure(draft.state === "draft", "draft");
const shop = got(
  await client.POST("/v1/webhooks", {
    params: { header: once() },
    body: {
      name: "Shop", url: "https://shop.example/firsthand", kinds: ["consent.withdrawn"],
    },
  }),
);
sure(shop.secret.startsWith("whsec_"), "secret");
got(
  await client.POST("/v1/withdrawals", {
    params: { header: once() }, body: { address: "nora@example.com", purpose: purpose.id },
  }),
);
const checks = got(
  await client.POST("/v1/consent-checks", {
    body: { purpose: purpose.id, customers: [nora.id] },
  }),
);
sure(checks.checks.every((each) => !each.authorises), "no longer");
const decided = got(await client.GET("/v1/customers/{id}/consent-events", { params: id }));
sure(decided.map((each) => each.status).join() === "withdrawn,given", "decisions");
for (;;) {
  const feed = got(
    await client.GET("/v1/events", { params: { query: { order: "oldest", limit: 200 } } }),
  );
  // An event has its place in the feed within seconds.
  if (feed.rows.some((each) => each.kind === "consent.withdrawn")) break;
  await new Promise((resume) => setTimeout(resume, 500));
}
console.log("Twenty calls, and the withdrawal is in the feed.");
