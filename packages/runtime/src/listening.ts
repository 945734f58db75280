/** Listening that fails, told in one sentence that names the setting. */

import { fault } from "@outrider/event";

type Address = Readonly<{ host: string; port: number }>;

/** What `listen` gives. Throws Fault `settings_invalid` where HOST or PORT cannot be had. */
export const listening = async <T>(
  address: Address,
  listen: () => T | Promise<T>,
): Promise<Awaited<T>> => {
  try {
    return await listen();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    throw fault("settings_invalid", sentence(address, code), { cause });
  }
};

const sentence = ({ host, port }: Address, code: string): string => {
  if (code === "EADDRINUSE") {
    return `Port ${port} of ${host} is taken (${code}); end what listens there, or set PORT.`;
  }
  if (code === "EACCES") {
    return `This user may not listen on port ${port} (${code}); set PORT to 1024 or more.`;
  }
  const what = `HOST is ${host}, where this machine cannot listen${code && ` (${code})`}`;
  return `${what}; set it to an address of its own, 127.0.0.1, or 0.0.0.0 for all.`;
};
