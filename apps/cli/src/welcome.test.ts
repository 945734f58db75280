import { expect, test } from "bun:test";
import { welcome } from "./welcome.ts";

test("the curl to try goes to the port that the shop got", () => {
  const running = [{ spec: { name: "shop" }, url: "http://127.0.0.1:3999" }];
  const text = welcome(running, { seconds: "2.0", stateDir: ".outrider", key: "ork_1_x" });
  expect(text).toContain("curl -i http://127.0.0.1:3999/v1/orders");
  expect(text).toContain("http://127.0.0.1:3999/docs");
  const body = /-d '(.*)'/.exec(text)?.[1] ?? "";
  expect(JSON.parse(body).lines).toHaveLength(1);
});
