// The server's token: asked for where commands need it, presented, kept until the tab is closed.

import { byId, say } from "./dom.js";

export class Access {
  constructor({ connection, identity, loop }) {
    Object.assign(this, { connection, identity, loop });
    this._tried = false; // a token that no connection has been opened with yet
    byId("unlock").addEventListener("click", () => this._ask(""));
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this._present(byId("token").value.trim());
    });
    byId("token-cancel").addEventListener("click", () => byId("token-dialog").close());
  }
  /** Take what the server says of itself: whether it wants a token. */
  told(needsToken) {
    const { connection } = this;
    if (connection.needsToken === needsToken) return;
    connection.needsToken = needsToken;
    this.loop.invalidate();
  }
  _ask(wrong) {
    byId("token").value = "";
    say(byId("token-answer"), wrong);
    if (!byId("token-dialog").open) byId("token-dialog").showModal();
    byId("token").focus();
  }
  _present(token) {
    if (!token) return this._ask("Expected the token that the server's operator has set");
    byId("token-dialog").close();
    this._tried = true;
    this.identity.keepServerToken(token);
    this.connection.restart();
  }

  /** The server has greeted this page: the token, if there is one, is right. */
  welcome() {
    this._tried = false;
  }
  /** A connection with a token was refused before the greeting, by a server that is there. */
  refused(token) {
    if (!this.connection.needsToken || token === null) return;
    if (token !== this.identity.serverToken) return; // another one is tried by now
    const wasTyped = this._tried;
    this._tried = false;
    this.identity.keepServerToken(null);
    this.connection.restart();
    if (wasTyped) this._ask("The server refuses this token");
  }

  frame() {
    byId("unlock").hidden = !this.connection.onlyWatches;
  }
}
