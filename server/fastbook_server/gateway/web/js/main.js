// Assembles the page. Modules store state as it arrives; views draw it once per frame.

import { Access } from "./access.js";
import { Account } from "./account.js";
import { Balances } from "./balances.js";
import { Blotter } from "./blotter.js";
import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { DeadMan } from "./dead_man.js";
import { DepthChart } from "./depth.js";
import { Desk } from "./desk.js";
import { byId, choice } from "./dom.js";
import { Footer } from "./footer.js";
import { Header, Looks } from "./header.js";
import { Identity } from "./identity.js";
import { chooseIntervals, keptInterval } from "./intervals.js";
import { listenToKeys } from "./keyboard.js";
import { Ladder } from "./ladder.js";
import { Leaders } from "./leaders.js";
import { Loop } from "./loop.js";
import { Market } from "./market.js";
import { Markets } from "./markets.js";
import { openPanel } from "./panel.js";
import { Positions } from "./positions.js";
import { recall, remember } from "./prefs.js";
import { openReplay } from "./replay.js";
import { splitPanels } from "./splits.js";
import { Stories } from "./stories.js";
import { Tape } from "./tape.js";
import { Ticket } from "./ticket.js";
import { Tickers } from "./tickers.js";
import { Toasts } from "./toasts.js";

const PUBLIC = new Set(["fills", "depth", "checksum", "candles", "ticker"]);

const wanted = () => new URL(location.href).searchParams.get("security");

function point(url, security) {
  url.searchParams.set("security", security);
  return url;
}

/** Set up the tabs: a small screen shows one panel at a time. */
function tabs() {
  const terminal = byId("terminal");
  const mark = choice(byId("tabs"), (name) => show(name));
  const show = (name) => {
    terminal.dataset.tab = name;
    if (name !== "local") remember("tab", name); // the next server may have no such panel
    mark(name);
  };
  show(recall("tab", "ladder"));
  return show;
}

function start() {
  const loop = new Loop();
  const identity = new Identity();
  const toasts = new Toasts();
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
      if (frame.event === "ticker" && frame.security !== market.security) tickers.take(frame);
      else if (PUBLIC.has(frame.event)) market.take(frame);
      else if (frame.event === "welcome") welcome(frame);
      else account.take(frame);
      deadMan.tick();
    },
    onRefused: () => {
      const { serverToken } = identity; // until the answer the user may have typed another one
      aboutServer().then((there) => there && access.refused(serverToken));
    },
    onState: (state) => {
      byId("elsewhere").hidden = state !== "elsewhere";
      loop.invalidate();
    },
  });
  const access = new Access({ connection, identity, loop });
  const market = new Market(connection, loop, keptInterval());
  const tickers = new Tickers({ connection, market, loop });
  const stories = new Stories({ market, toasts });
  const account = new Account(connection, market, loop, (news) => stories.tell(news));
  const ticket = new Ticket({ market, account, connection, loop });
  const deadMan = new DeadMan({ connection, toasts });
  const desk = new Desk({ market, account, toasts });
  const amend = (id, changes) => desk.amend(id, changes);
  const show = tabs();
  const pick = (level) => {
    ticket.pick(level);
    show("ticket");
  };
  const pickPrice = (t) => ticket.setPrice(t);
  const now = () => Date.now() + connection.offsetMs;
  const ladder = new Ladder({ market, account, ui, loop, pick, amend });
  const depth = new DepthChart({ market, ui, loop, pick });
  const tape = new Tape({ market, account, loop, pick: pickPrice });
  const chart = new Chart({ market, account, loop, amend, pick: pickPrice, now });
  const leaders = new Leaders({ account, market, redraw: () => blotter.redraw() });
  const close = (security) => {
    if (security !== market.security) choose(security);
    ticket.close();
    show("ticket");
  };
  const positions = new Positions({ market, account, tickers, close });
  const balances = new Balances({ now, redraw: () => blotter.redraw() });
  const lists = { positions, leaders, balances };
  const blotter = new Blotter({ market, account, tickers, loop, toasts, desk, ...lists });
  const header = new Header({ market, choose });
  const markets = new Markets({ market, tickers, loop, choose });
  new Footer({ connection, market, account, loop });
  loop.views.push(access, market, header, ladder, depth, tape, chart, ticket, blotter, markets);
  const canvases = [ladder, depth, tape].map((view) => view.canvas);
  new Looks(() => {
    for (const canvas of canvases) canvas.dirty = true;
    chart.restyle();
    loop.invalidate();
  });
  splitPanels();

  function welcome(frame) {
    const before = account.userId;
    access.welcome();
    account.welcome(frame.userId);
    if (before !== null && before !== frame.userId)
      toasts.show("The server has assigned a new user id");
    const asked = wanted();
    const shown = market.security;
    if (!market.welcome(frame, asked)) toasts.show(`Unknown security: ${asked}`, { kind: "bad" });
    if (market.security !== shown) ladder.meet(market.security);
    tickers.welcome();
    deadMan.welcome();
    account.followAll(market.security, market.instruments.map((i) => i.security));
    history.replaceState(null, "", point(new URL(location.href), market.security));
  }
  function choose(security) {
    history.pushState(null, "", point(new URL(location.href), security));
    look(security);
  }
  function look(security) {
    ui.point(null);
    market.follow(security);
    ladder.meet(security);
    tickers.sync();
    account.follow(security);
  }
  addEventListener("popstate", () => {
    const security = wanted();
    if (market.instruments.some((i) => i.security === security)) look(security);
  });
  chooseIntervals((interval) => market.setInterval(interval));
  byId("take-back").addEventListener("click", () => connection.restart());
  byId("as-new").addEventListener("click", () => connection.restart({ asNew: true }));
  const cancelAll = (everywhere) => desk.cancelAll({ everywhere, asks: true });
  listenToKeys({ ticket, cancelAll, markets: () => markets.open(), show });
  aboutServer().then(async (about) => {
    connection.open();
    if (about?.leaderboard) leaders.offer();
    if (about?.binance) balances.offer();
    if (about?.sim) await openPanel(about.sim);
    if (about?.replay) await openReplay(about.replay);
  });

  /** Return what the server says about itself, and show it; null if it cannot be reached. */
  async function aboutServer() {
    try {
      const about = await (await fetch("version", { cache: "no-store" })).json();
      byId("in-memory").hidden = !about.inMemory;
      access.told(about.token === true);
      return about;
    } catch {
      return null;
    }
  }
}

start();
