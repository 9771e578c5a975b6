import assert from "node:assert/strict";
import { test } from "node:test";
import { readEnvironment } from "./environment.ts";
import { findHome } from "./home.ts";

const places = { temporary: "/tmp", uid: 1000 };
const environment = { home: undefined, config: undefined, userHome: "/home/ada" };

test("flags come before the environment, and that before the account's own folder", () => {
  assert.equal(findHome({}, environment, places).home, "/home/ada/.doorward");
  assert.equal(findHome({}, { ...environment, home: "/srv/dw" }, places).home, "/srv/dw");
  const both = findHome(
    { home: "/a", config: "/b.yaml" },
    { ...environment, home: "/srv/dw", config: "/c.yaml" },
    places,
  );
  assert.deepEqual([both.home, both.config], ["/a", "/b.yaml"]);
  assert.equal(findHome({}, { ...environment, config: "/c.yaml" }, places).config, "/c.yaml");
  assert.equal(findHome({}, environment, places).config, "/home/ada/.doorward/doorward.yaml");
});

test("a socket's path always fits, and follows from the home alone", () => {
  const short = findHome({ home: "/srv/dw" }, environment, places);
  assert.deepEqual([short.socket, short.socketFolder], ["/srv/dw/doorward.sock", "/srv/dw"]);
  const long = `/srv/${"x".repeat(120)}`;
  const found = findHome({ home: long }, environment, { temporary: `/var/${"t".repeat(120)}`, uid: 1000 });
  assert.ok(Buffer.byteLength(found.socket) <= 103, found.socket);
  assert.equal(
    found.socket,
    findHome({}, { ...environment, home: long }, { temporary: `/var/${"t".repeat(120)}`, uid: 1000 }).socket,
  );
  assert.notEqual(found.socket, findHome({ home: `${long}y` }, environment, places).socket);
  assert.notEqual(
    findHome({ home: long }, environment, places).socket,
    findHome({ home: long }, environment, { ...places, uid: 1001 }).socket,
  );
});

test("empty variables count as absent, and inherited names are none", () => {
  const read = readEnvironment({ DOORWARD_HOME: "", DOORWARD_CONFIG: "/c", HOME: "/home/ada", NO_COLOR: "1", KEY: "" });
  assert.deepEqual(
    [read.home, read.config, read.configHome, read.noColor],
    [undefined, "/c", "/home/ada/.config", true],
  );
  assert.equal(read.get("KEY"), "");
  assert.equal(read.get("constructor"), undefined);
});
