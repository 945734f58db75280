/** A process: passes what comes to a port of loopback on to `host:port`, and prints its pid. */

import { connect, createServer } from "node:net";

const [port, to = ""] = process.argv.slice(2);
const [host, toPort] = to.split(":");

createServer((near) => {
  const far = connect(Number(toPort), host);
  near.pipe(far).pipe(near);
  near.on("error", () => far.destroy());
  far.on("error", () => near.destroy());
}).listen(Number(port), "127.0.0.1", () => console.log(process.pid));
