/** An app for supervisor.test.ts: ready at once, and it ends when it is asked to, telling why. */

const { PORT, OUTRIDER_RUN = "" } = process.env;

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(PORT),
  fetch: ({ url }) => {
    if (new URL(url).pathname === "/end") {
      console.log(JSON.stringify({ level: 60, msg: "the paper tray is on fire" }));
      process.exit(3);
    }
    return new Response("ok\n", { headers: { "outrider-run": OUTRIDER_RUN } });
  },
});
