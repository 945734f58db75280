import { expect, test } from "bun:test";
import { isPublicAddress } from "./public-address.ts";

/** The first and the last of each range, and what is beside it. */
const ranges: readonly (readonly [string, string])[] = [
  ["0.0.0.0", "0.255.255.255"],
  ["10.0.0.0", "10.255.255.255"],
  ["100.64.0.0", "100.127.255.255"],
  ["127.0.0.0", "127.255.255.255"],
  ["169.254.0.0", "169.254.255.255"],
  ["172.16.0.0", "172.31.255.255"],
  ["192.0.0.0", "192.0.0.255"],
  ["192.168.0.0", "192.168.255.255"],
  ["198.18.0.0", "198.19.255.255"],
  ["224.0.0.0", "239.255.255.255"],
  ["240.0.0.0", "255.255.255.255"],
];

test("IPv4 that is not of the public internet is told from its neighbours", () => {
  expect(ranges.flat().filter(isPublicAddress)).toEqual([]);
  const beside = ["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"].concat(
    ["126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255"],
    ["172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"],
    ["223.255.255.255", "168.63.129.15", "168.63.129.17"],
  );
  expect(beside.filter((address) => !isPublicAddress(address))).toEqual([]);
});

test("metadata services of clouds are not public", () => {
  const found = ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192"].concat([
    "fd00:ec2::254",
    "fe80::a9fe:a9fe",
  ]);
  expect(found.filter(isPublicAddress)).toEqual([]);
});

test("IPv6 is public where it is global unicast and carries no other address", () => {
  const wrong = ["::", "::1", "::ffff:10.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8", "::127.0.0.1"];
  wrong.push("64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "fc00::1", "fdff::1", "fe80::1");
  wrong.push("fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1", "2001::1", "2001:db8::1");
  wrong.push("2001:1ff:ffff::1", "2002:7f00:1::", "3fff::1", "4000::1", "1fff::1");
  expect(wrong.filter(isPublicAddress)).toEqual([]);
  const right = ["2000::1", "2001:200::1", "2606:4700::1111", "2a00:1450:4001::1", "3ffe::1"];
  expect(right.filter((address) => !isPublicAddress(address))).toEqual([]);
});

test("what is no address is not public", () => {
  expect(["", "localhost", "1.2.3", "1.2.3.4.5", "0x7f.1", ":::"].filter(isPublicAddress)).toEqual(
    [],
  );
});
