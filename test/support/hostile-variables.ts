/** What somebody may have set for other programs, and what must have no say in what we start. */

export const hostileVariables: Readonly<Record<string, string>> = {
  HOST: "0.0.0.0",
  PORT: "1",
  HTTP_PROXY: "http://127.0.0.1:1",
  http_proxy: "http://127.0.0.1:1",
  HTTPS_PROXY: "http://127.0.0.1:1",
  PGHOST: "203.0.113.1",
  PGPORT: "1",
  PGDATA: "/nowhere",
  PGSSLMODE: "require",
  PGTARGETSESSIONATTRS: "standby",
  NODE_OPTIONS: "--no-such-option",
  BUN_OPTIONS: "--no-such-option",
  JAVA_TOOL_OPTIONS: "-XX:NoSuchOption",
  JDK_JAVA_OPTIONS: "-XX:NoSuchOption",
  KAFKA_OPTS: "-XX:NoSuchOption",
  KAFKA_HEAP_OPTS: "-Xmx1m",
  LC_ALL: "xx_XX.nonsense",
  LANG: "xx_XX.nonsense",
  TZ: "Nowhere/Nothing",
};
