import type { TestHome } from "../harness/daemon.testing.ts";

/** A browser without a screen: it keeps cookies, follows redirects and answers the one form that it is shown. */
export interface Browser {
  /** Opens a URL. @returns The last answer, of whichever server. */
  open(url: string): Promise<Response>;
  /** Opens a URL of the authorization server, lets the program act (or not), and follows it home. */
  consent(url: string, answer?: "allow" | "deny"): Promise<Response>;
}

/** Signs a person in by a one-time link. */
export async function signIn(home: TestHome, role = "approver"): Promise<Browser> {
  const { url } = await home.json<{ url: string }>(["person", "link", "--role", role]);
  const browser = openBrowser();
  await (await browser.open(url)).text();
  return browser;
}

function openBrowser(): Browser {
  const jars = new Map<string, Map<string, string>>();
  const send = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const { origin } = new URL(url);
    const jar = jars.get(origin) ?? new Map<string, string>();
    jars.set(origin, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", ...init, headers: { accept: "text/html", cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name!);
      else jar.set(name!, value!);
    }
    return response;
  };
  const follow = async (first: Response, from: string): Promise<Response> => {
    let response = first;
    let at = from;
    for (let hops = 0; hops < 12; hops++) {
      const location = response.headers.get("location");
      if (location === null) return response;
      await response.arrayBuffer();
      at = new URL(location, at).href;
      response = await send(at);
    }
    throw new Error(`too many redirects at ${at}`);
  };
  const open = async (url: string) => follow(await send(url), url);
  return {
    open,
    async consent(url, answer = "allow") {
      const page = await open(url);
      const text = await page.text();
      const token = /name="token" value="([^"]+)"/.exec(text)?.[1];
      if (token === undefined) throw new Error(`no consent page at ${page.url}: ${page.status} ${text.slice(0, 300)}`);
      const form = new URLSearchParams({ token, answer });
      return follow(await send(page.url, { method: "POST", body: form }), page.url);
    },
  };
}
