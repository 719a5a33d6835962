import { describe, expect, test } from "@jest/globals";
import { browserName } from "../../demo-app/browser-name.js";
import { FIREFOX, SAFARI } from "./demo.js";

const WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)";
const ANDROID = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko)";
const MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)";
const IPAD = "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
const CHROMEBOOK = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko)";

describe("a browser's name", () => {
  test.each([
    [FIREFOX, "Firefox on Linux"],
    [SAFARI, "Safari on iPhone"],
    [`${WINDOWS} Chrome/140.0.0.0 Safari/537.36`, "Chrome on Windows"],
    [`${WINDOWS} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0`, "Edge on Windows"],
    [`${WINDOWS} Chrome/140.0.0.0 Safari/537.36 OPR/120.0.0.0`, "Opera on Windows"],
    [`${ANDROID} Chrome/140.0.0.0 Mobile Safari/537.36`, "Chrome on Android"],
    [`${ANDROID} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36`, "Samsung Internet on Android"],
    [`${MAC} Version/18.5 Safari/605.1.15`, "Safari on Mac"],
    [`${IPAD} CriOS/140.0.0.0 Mobile/15E148 Safari/604.1`, "Chrome on iPad"],
    [`${IPAD} FxiOS/140.0 Mobile/15E148 Safari/605.1.15`, "Firefox on iPad"],
    [`${CHROMEBOOK} Chrome/140.0.0.0 Safari/537.36`, "Chrome on ChromeOS"],
    ["curl/8.14.1", "Unknown browser"],
    ["<b>Firefox</b> (Linux)", "Unknown browser on Linux"],
    ["", "Unknown browser"],
    [undefined, "Unknown browser"],
  ])("of %j is %s", (userAgent, name) => {
    expect(browserName(userAgent)).toBe(name);
  });
});
