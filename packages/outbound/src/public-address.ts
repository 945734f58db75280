/**
 * Which addresses belong to the public internet. Everything else is refused: what IANA's registries
 * of special-purpose addresses list, and of IPv6 whatever is not global unicast (2000::/3), which
 * leaves out loopback, link-local, unique-local and multicast addresses, IPv4 mapped into IPv6, and
 * NAT64.
 */

import { BlockList, isIP } from "node:net";

const blockListOf = (family: "ipv4" | "ipv6", subnets: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [address = "", bits] = subnet.split("/");
    list.addSubnet(address, Number(bits), family);
  }
  return list;
};

const special4 = blockListOf("ipv4", [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"],
  ...["172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"],
  ...["198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"],
  // Azure's metadata: it is in no registry. Those of others are link-local or unique-local.
  "168.63.129.16/32",
]);

const global6 = blockListOf("ipv6", ["2000::/3"]);

/** Teredo, ORCHID, documentation and 6to4, whose addresses carry others. */
const special6 = blockListOf("ipv6", [...["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]]);

/** False for what is no address at all. */
export const isPublicAddress = (address: string): boolean => {
  const family = isIP(address);
  if (family === 4) return !special4.check(address, "ipv4");
  if (family !== 6 || address.includes("%")) return false;
  return global6.check(address, "ipv6") && !special6.check(address, "ipv6");
};
