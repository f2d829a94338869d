"""The operator's page: a shell without a word of data in it. Whoever logs in on it asks the routes of `web_operator`, which check them.

    GET /operator ─▶ this HTML ─▶ log in (password, and a code where one is set up) ─▶ GET /api/v1/operator/jobs, every 5 s

The access token stays in a variable of the page: no cookie, so nothing that another site could make a browser send; nothing is stored, so
closing the page is logging off the screen.
Invariant: what the server says is put into the page as text, never as markup; no script runs but the one below (its hash is in the policy).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

STYLE: Final = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #8884; vertical-align: top; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.bad { color: #b00020; font-weight: 600; }
label { display: inline-block; margin-right: 1rem; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } .bad { color: #ff8a80; } }
"""

SCRIPT: Final = """
"use strict";
const by = id => document.getElementById(id);
let token = "", challenge = "", timer = 0;

async function ask(method, path, body) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Error(told.detail || String(answer.status));
  return told;
}

function say(text) { by("said").textContent = text; }

async function enter() {
  try {
    const told = challenge
      ? await ask("POST", "/api/v1/auth/mfa", { challenge, code: by("code").value })
      : await ask("POST", "/api/v1/auth/login", { name: by("name").value, password: by("password").value, device_name: "operator's page" });
    by("password").value = by("code").value = "";
    if (told.mfa) {
      challenge = told.mfa.challenge;
      by("second").hidden = false;
      by("code").focus();
      say(told.mfa.methods.includes("totp") ? "A code of your authenticator is needed." : "This page takes codes: set up an app for them.");
      return;
    }
    token = told.access_token;
    by("entry").hidden = true;
    by("desk").hidden = false;
    await look();
  } catch (error) { challenge = ""; by("second").hidden = true; say(error.message); }
}

function span(seconds) {
  let left = Math.max(0, Math.round(seconds));
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60]])
    if (left >= size) return Math.floor(left / size) + unit + " " + span(left % size);
  return left + "s";
}

function clock(at) { return at ? new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ") : ""; }

function fill(id, columns, rows) {
  const table = by(id), body = document.createElement("tbody"), head = document.createElement("thead");
  const line = (parent, cell, values) => {
    const row = parent.appendChild(document.createElement("tr"));
    for (const value of values) {
      const place = row.appendChild(document.createElement(cell));
      if (value instanceof Node) place.appendChild(value);
      else { place.textContent = String(value); if (typeof value === "number") place.className = "n"; }
    }
    return row;
  };
  line(head, "th", columns);
  for (const { cells, bad } of rows) if (line(body, "td", cells) && bad) body.lastChild.className = "bad";
  table.replaceChildren(table.caption, head, body);
}

function button(words, path, body) {
  const one = document.createElement("button");
  one.type = "button";
  one.textContent = words;
  one.onclick = async () => { try { await ask("POST", path, body); await look(); } catch (error) { say(error.message); } };
  return one;
}

async function look() {
  clearTimeout(timer);
  try {
    const state = by("state").value, kind = by("kind").value.trim(), now = Date.now() / 1000;
    const told = await ask("GET", "/api/v1/operator/jobs?" + new URLSearchParams({ ...(state && { state }), ...(kind && { kind }) }));
    const kinds = ["kind", "ready", "oldest", "delayed", "failing", "running", "dead", "done", "failed", "cancelled", "ms a run"];
    fill("kinds", kinds, told.kinds.map(k => {
      const waiting = [k.ready, k.ready ? span(k.oldest_s) : "", k.delayed, k.failing];
      return { bad: k.dead > 0, cells: [k.kind, ...waiting, k.running, k.dead, k.done, k.failed, k.cancelled, Math.round(k.run_ms)] };
    }));
    const schedules = ["schedule", "kind", "timing (UTC)", "next", "last", "ended", "jobs", "skipped", "last error"];
    fill("schedules", schedules, told.schedules.map(s => {
      const times = [clock(s.next_at), clock(s.fired_at), clock(s.ended_at)];
      return { bad: s.error !== "", cells: [s.name, s.kind, s.timing, ...times, s.fired, s.skipped, s.error] };
    }));
    fill("jobs", ["number", "kind", "state", "attempts", "since", "key", "last said", ""], told.jobs.map(j => {
      const acts = document.createElement("span"), path = "/api/v1/operator/jobs/" + j.id;
      if (j.state === "dead") acts.appendChild(button("retry", path + "/retry"));
      acts.appendChild(button(j.state === "dead" ? "forget" : "cancel", path + "/cancel"));
      const since = j.state === "delayed" ? "in " + span(j.due_at - now) : span(now - (j.state === "running" ? j.begun_at : j.due_at));
      const steps = j.total ? j.done + "/" + j.total + " " : "";
      const said = j.state === "running" ? steps + j.words : [j.reason, j.error].filter(Boolean).join(": ");
      return { bad: j.state === "dead", cells: [j.id, j.kind, j.state, j.attempts, since, j.key, said, acts] };
    }));
    fill("models", ["model", "state", "breaker", "under way", "asked", "answered", "degraded", "unanswered"], told.models.map(m => {
      const why = Object.entries(m.unanswered).map(([word, count]) => count + " " + word).join(", ");
      const counts = [m.under_way, m.asked, m.answered, m.degraded];
      return { bad: m.state === "fails" || m.state === "away", cells: [m.name, m.state, m.breaker, ...counts, why] };
    }));
    const unserved = told.unserved.map(r => `${r.waiting} jobs wait for region ${r.region}, where no process runs`);
    say(["as of " + clock(now) + " UTC", ...unserved].join("; "));
    timer = setTimeout(look, 5000);
  } catch (error) { say(error.message); timer = setTimeout(look, 15000); }
}

async function leave() {
  clearTimeout(timer);
  try { await ask("POST", "/api/v1/auth/logout"); } finally { location.reload(); }
}

by("enter").onclick = enter;
by("leave").onclick = leave;
for (const id of ["name", "password", "code"]) by(id).onkeydown = event => { if (event.key === "Enter") enter(); };
for (const id of ["state", "kind"]) by(id).onchange = look;
"""

PAGE: Final = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>EduConnect: jobs and models</title>
<style>{STYLE}</style>
<h1>Jobs and models</h1>
<p id="said" role="status">Log in with an account that may operate the platform.</p>
<div id="entry">
<label>Name <input id="name" autocomplete="username"></label>
<label>Password <input id="password" type="password" autocomplete="current-password"></label>
<label id="second" hidden>Code <input id="code" inputmode="numeric" autocomplete="one-time-code"></label>
<button id="enter" type="button">Log in</button>
</div>
<div id="desk" hidden>
<button id="leave" type="button">Log out</button>
<table id="kinds"><caption>Kinds: now, and done since the beginning of the last hour</caption></table>
<label>State <select id="state"><option value="">all</option><option>ready</option><option>delayed</option><option>running</option>
<option>dead</option></select></label>
<label>Kind <input id="kind"></label>
<table id="jobs"><caption>Jobs and dead letters, newest first</caption></table>
<table id="schedules"><caption>By the clock</caption></table>
<table id="models"><caption>Models, as this gateway asks them; educonnect tree --live has their versions and processes</caption></table>
</div>
<script>{SCRIPT}</script>
</html>
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY: Final = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
