// Assembles the page. Modules store state as it arrives; views draw it once per frame.

import { Account } from "./account.js";
import { Blotter } from "./blotter.js";
import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { DepthChart } from "./depth.js";
import { byId, choice, say } from "./dom.js";
import { Footer } from "./footer.js";
import { Header, Looks } from "./header.js";
import { Identity } from "./identity.js";
import { listenToKeys } from "./keyboard.js";
import { Ladder } from "./ladder.js";
import { Loop } from "./loop.js";
import { Market } from "./market.js";
import { openPanel } from "./panel.js";
import { Tape } from "./tape.js";
import { Ticket } from "./ticket.js";

const NOTICE_MS = 6_000;
const PUBLIC = new Set(["fills", "depth", "checksum", "candles", "ticker"]);

const wanted = () => new URL(location.href).searchParams.get("security");

function point(url, security) {
  url.searchParams.set("security", security);
  return url;
}

let noticeTimer = 0;
/** Show a notice for a few seconds. */
function notice(text) {
  clearTimeout(noticeTimer);
  say(byId("notice"), text);
  noticeTimer = setTimeout(() => say(byId("notice"), ""), NOTICE_MS);
}

/** Set up the tabs: a small screen shows one panel at a time. */
function tabs() {
  const terminal = byId("terminal");
  const mark = choice(byId("tabs"), (name) => (terminal.dataset.tab = name));
  const show = (name) => {
    terminal.dataset.tab = name;
    mark(name);
  };
  show("ladder");
  return show;
}

function start() {
  const loop = new Loop();
  const identity = new Identity();
  const ui = {
    hover: null,
    version: 0,
    point(hover) {
      if (hover?.t === this.hover?.t && hover?.side === this.hover?.side) return;
      this.hover = hover;
      this.version += 1;
      loop.invalidate();
    },
  };
  const connection = new Connection(identity, {
    onBook: (text) => market.bookText(text),
    onFrame: (frame) => {
      if (PUBLIC.has(frame.event)) market.take(frame);
      else if (frame.event === "welcome") welcome(frame);
      else account.take(frame);
    },
    onState: (state) => {
      byId("elsewhere").hidden = state !== "elsewhere";
      loop.invalidate();
    },
  });
  const market = new Market(connection, loop);
  const account = new Account(connection, market, loop);
  const ticket = new Ticket({ market, account, connection, loop });
  const show = tabs();
  const pick = (level) => {
    ticket.pick(level);
    show("ticket");
  };
  const amend = async (id, changes) => {
    const reply = await account.amend(id, changes);
    if (reply === null) notice("The connection was lost: see the order's price and amount");
    else if (reply.status === "rejected") notice(`Not changed: ${reply.message}`);
  };
  const ladder = new Ladder({ market, account, ui, loop, pick, amend });
  const depth = new DepthChart({ market, ui, loop });
  const tape = new Tape({ market, account, loop });
  const chart = new Chart({ market, loop });
  const blotter = new Blotter({ market, account, loop, notice, amend });
  const header = new Header({ market, choose });
  new Footer({ connection, market, account, loop });
  loop.views.push(market, header, ladder, depth, tape, chart, ticket, blotter);
  const canvases = [ladder, depth, tape].map((view) => view.canvas);
  new Looks(() => {
    for (const canvas of canvases) canvas.dirty = true;
    chart.restyle();
    loop.invalidate();
  });

  function welcome(frame) {
    const before = account.userId;
    account.welcome(frame.userId);
    if (before !== null && before !== frame.userId)
      notice("The server has assigned a new user id");
    const asked = wanted();
    if (!market.welcome(frame, asked)) notice(`Unknown security: ${asked}`);
    account.follow(market.security);
    history.replaceState(null, "", point(new URL(location.href), market.security));
  }
  function choose(security) {
    history.pushState(null, "", point(new URL(location.href), security));
    look(security);
  }
  function look(security) {
    ui.point(null);
    byId("group").value = "1";
    ladder.setStep(1);
    market.follow(security);
    account.follow(security);
  }
  addEventListener("popstate", () => {
    const security = wanted();
    if (market.instruments.some((i) => i.security === security)) look(security);
  });
  choice(byId("intervals"), (interval) => market.setInterval(interval))("1m");
  byId("take-back").addEventListener("click", () => connection.restart());
  byId("as-new").addEventListener("click", () => connection.restart({ asNew: true }));
  listenToKeys({ ticket, blotter, show });
  connection.open();
  aboutServer();
}

/** Show what the server says about itself; asking causes no error if it offers no simulation. */
async function aboutServer() {
  try {
    const { sim, inMemory } = await (await fetch("/version")).json();
    byId("in-memory").hidden = !inMemory;
    if (sim) await openPanel(sim);
  } catch {
    // The server is unreachable right now: the page works without that.
  }
}

start();
