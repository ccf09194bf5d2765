// The operator's session. The token lives in sessionStorage of this tab and goes out in a header or as a WebSocket
// subprotocol, never in an address.

const tokenKey = "hl-token";

export const session = { token: undefined };

/** A token in the address is taken once and removed, so that it stays in no history and no bookmark. */
export function takeToken() {
  const match = /^#token=(.+)$/.exec(location.hash);
  if (match !== null) {
    keepToken(decodeURIComponent(match[1]));
    history.replaceState(null, "", location.pathname);
  }
  session.token = sessionStorage.getItem(tokenKey) ?? undefined;
}

export function keepToken(token) {
  session.token = token;
  sessionStorage.setItem(tokenKey, token);
}

export function dropToken() {
  session.token = undefined;
  sessionStorage.removeItem(tokenKey);
}

export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server answered ${status}`);
    this.status = status;
    this.code = error?.code;
    this.help = error?.data?.help;
  }
}

export async function api(path, init = {}) {
  const response = await fetch(path, {
    ...init,
    headers: { authorization: `Bearer ${session.token}`, ...init.headers },
  });
  if (!response.ok) {
    const body = await response.json().catch(() => undefined);
    throw new ApiError(response.status, body?.error);
  }
  return response;
}

export const instancePath = (id, rest = "") => `/v1/instances/${encodeURIComponent(id)}${rest}`;
