import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";
import { createSecureContext, type SecureContext } from "node:tls";
import {
  bits,
  commonName,
  element,
  extension,
  integer,
  objectIdentifier,
  octets,
  sequence,
  time,
} from "./egress-der.ts";

/** A certificate authority that one program trusts, for the hosts that it may reach. Its key is in memory alone. */
export interface EgressAuthority {
  /** PEM: what the program must trust. */
  readonly certificate: string;
  /** The server's side of TLS for one host, with a certificate made when it is first asked for, and again before it expires. */
  contextFor(host: string, now: Date): SecureContext;
}

const HOUR_MS = 3_600_000;
/** Longer than any program runs; no other program trusts it. */
const AUTHORITY_MS = 365 * 24 * HOUR_MS;
const LEAF_MS = 48 * HOUR_MS;
/** A leaf is replaced when this much of its time is left. */
const LEAF_RENEWAL_MS = 24 * HOUR_MS;
/** Clocks of containers differ. */
const EARLIER_MS = HOUR_MS;
const SERIAL_BYTES = 16;

const ECDSA_WITH_SHA256 = sequence(objectIdentifier("1.2.840.10045.4.3.2"));
const BASIC_CONSTRAINTS = "2.5.29.19";
const KEY_USAGE = "2.5.29.15";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SUBJECT_ALT_NAME = "2.5.29.17";
const SUBJECT_KEY_ID = "2.5.29.14";
const AUTHORITY_KEY_ID = "2.5.29.35";
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";

/** Bit strings of RFC 5280 §4.2.1.3: keyCertSign and cRLSign; digitalSignature. */
const SIGNS_CERTIFICATES = Buffer.from("03020106", "hex");
const SIGNS = Buffer.from("03020780", "hex");
/** CA:TRUE with no authority below it; CA:FALSE. */
const IS_AUTHORITY = Buffer.from("30060101ff020100", "hex");
const IS_LEAF = sequence();

const AUTHORITY_NAME = "Doorward egress";
const LEAF_NAME = "Doorward egress host";

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** Makes an authority for one program. Its certificates are ECDSA P-256, as strict as today's verifiers ask (RFC 5280). */
export function createEgressAuthority(now: Date): EgressAuthority {
  const authority = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const leafKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = leafKey.privateKey.export({ type: "pkcs8", format: "pem" });
  const contexts = new Map<string, { readonly context: SecureContext; readonly renewAt: number }>();
  const certificate = issue(authority, {
    subject: AUTHORITY_NAME,
    key: authority.publicKey,
    from: now,
    forMs: AUTHORITY_MS,
    extensions: [
      extension(BASIC_CONSTRAINTS, "critical", IS_AUTHORITY),
      extension(KEY_USAGE, "critical", SIGNS_CERTIFICATES),
    ],
  });
  return {
    certificate,
    contextFor(host, at) {
      const known = contexts.get(host);
      if (known !== undefined && at.getTime() < known.renewAt) return known.context;
      const cert = issue(authority, {
        subject: LEAF_NAME,
        key: leafKey.publicKey,
        from: at,
        forMs: LEAF_MS,
        extensions: leafExtensions(host),
      });
      const context = createSecureContext({ cert: cert + certificate, key, minVersion: "TLSv1.2" });
      contexts.set(host, { context, renewAt: at.getTime() + LEAF_MS - LEAF_RENEWAL_MS });
      return context;
    },
  };
}

function leafExtensions(host: string): readonly Buffer[] {
  return [
    extension(BASIC_CONSTRAINTS, "critical", IS_LEAF),
    extension(KEY_USAGE, "critical", SIGNS),
    extension(EXTENDED_KEY_USAGE, "optional", sequence(objectIdentifier(SERVER_AUTH))),
    extension(SUBJECT_ALT_NAME, "optional", sequence(hostName(host))),
  ];
}

interface CertificateParts {
  readonly subject: string;
  readonly key: KeyObject;
  readonly from: Date;
  readonly forMs: number;
  readonly extensions: readonly Buffer[];
}

/** @returns PEM. */
function issue(issuer: KeyPair, { subject, key, from, forMs, extensions }: CertificateParts): string {
  const spki = key.export({ type: "spki", format: "der" });
  const body = sequence(
    Buffer.from("a003020102", "hex"),
    integer(serial()),
    ECDSA_WITH_SHA256,
    commonName(AUTHORITY_NAME),
    sequence(time(new Date(from.getTime() - EARLIER_MS)), time(new Date(from.getTime() + forMs))),
    commonName(subject),
    spki,
    element(
      0xa3,
      sequence(
        ...extensions,
        extension(SUBJECT_KEY_ID, "optional", octets(keyId(key))),
        extension(AUTHORITY_KEY_ID, "optional", sequence(element(0x80, keyId(issuer.publicKey)))),
      ),
    ),
  );
  const signed = sequence(body, ECDSA_WITH_SHA256, bits(sign("sha256", body, issuer.privateKey)));
  const lines = signed.toString("base64").match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** Positive, and without a leading zero that DER would forbid. */
function serial(): Buffer {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes;
}

function keyId(key: KeyObject): Buffer {
  return createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest()
    .subarray(0, 20);
}

/** A dNSName or iPAddress of RFC 5280 §4.2.1.6. */
function hostName(host: string): Buffer {
  const family = isIP(host);
  if (family === 0) return element(0x82, Buffer.from(host, "latin1"));
  return element(0x87, family === 4 ? Buffer.from(host.split(".").map(Number)) : ipv6Bytes(host));
}

function ipv6Bytes(host: string): Buffer {
  const [head = "", tail] = host.split("::");
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = new Array<number>(8 - left.length - right.length).fill(0);
  return Buffer.from([...left, ...zeros, ...right].flatMap((group) => [group >> 8, group & 0xff]));
}

/** Hosts come as a URL parser prints them: hexadecimal groups, no dotted quads. */
function groups(part: string): number[] {
  return part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
}
