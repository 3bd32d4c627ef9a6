// Looks at a report in headless Chromium, or through html-validate, and prints what it saw as JSON.
//
// Usage: node check.mjs FILE ACTION...
//        light, dark, print   axe-core in that scheme, and the colour of the page's corner
//        open                 what runs, asks and breaks when the page is opened
//        narrow               the page 360 px wide: how far it scrolls sideways, what a long row says
//        plain                the same page without JavaScript
//        keyboard             search, filter, sort and link by keys alone
//        markup               html-validate
//        shot=OUT             a picture of the first screen
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const [, , file, ...actions] = process.argv;
let browser = null;

async function launched() {
  const { chromium } = await import("playwright-core");
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    timeout: 120000,
  });
  return browser;
}

async function withPage(options, look) {
  const context = await (await launched()).newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(120000);
  try {
    const page = await context.newPage();
    const seen = { requests: [], dialogs: [], errors: [], console: [] };
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith("file:") && !url.startsWith("data:")) seen.requests.push(url);
    });
    page.on("dialog", async (dialog) => {
      seen.dialogs.push(dialog.message());
      await dialog.dismiss();
    });
    page.on("pageerror", (error) => seen.errors.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) seen.console.push(message.text());
    });
    const start = Date.now();
    await page.goto(pathToFileURL(resolve(file)).href, { waitUntil: "load" });
    seen.loadMs = Date.now() - start;
    return await look(page, seen, context);
  } finally {
    await context.close();
  }
}

// The page's corner as it is painted, below the house's rule: one dot, as a PNG in base64.
async function corner(page) {
  const picture = await page.screenshot({ clip: { x: 2, y: 8, width: 1, height: 1 } });
  return picture.toString("base64");
}

async function axe(scheme) {
  const options = { colorScheme: scheme === "dark" ? "dark" : "light" };
  return withPage(options, async (page) => {
    if (scheme === "print") await page.emulateMedia({ media: "print", colorScheme: "light" });
    await page.evaluate(await readFile(require.resolve("axe-core/axe.min.js"), "utf8"));
    const result = await page.evaluate(() => globalThis.axe.run(document));
    return {
      passes: result.passes.length,
      corner: await corner(page),
      violations: result.violations.map((each) => ({
        id: each.id,
        impact: each.impact,
        nodes: each.nodes.length,
        first: each.nodes.slice(0, 3).map((node) => [node.target.join(" "), node.failureSummary]),
      })),
    };
  });
}

// Only keys: Tab, Enter, letters, arrows. Says what each step changed.
async function keyboard() {
  return withPage({}, async (page, seen, context) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]).catch(() => {});
    const active = () =>
      page.evaluate(() => {
        const at = document.activeElement;
        const style = getComputedStyle(at);
        return {
          tag: at.tagName,
          id: at.id,
          text: (at.textContent ?? "").trim().slice(0, 40),
          inTable: Boolean(at.closest("#slices")),
          inHead: Boolean(at.closest("#slices thead")),
          outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
        };
      });
    const visibleRows = () =>
      page.evaluate(() =>
        [...document.querySelectorAll("#slices tbody tr")]
          .filter((row) => !row.hidden)
          .map((row) => row.cells[0].textContent.trim()),
      );
    const stops = [];
    const tabTo = async (wanted, most = 400) => {
      for (let press = 0; press < most; press += 1) {
        await page.keyboard.press("Tab");
        const at = await active();
        stops.push(at);
        if (wanted(at)) return at;
      }
      return null;
    };
    const report = {};
    report.first = await tabTo(() => true);
    report.all = (await visibleRows()).length;
    report.search = await tabTo((at) => at.id === "search");
    await page.keyboard.type("canon");
    await page.waitForTimeout(200);
    report.found = await visibleRows();
    report.status = await page.evaluate(() => document.getElementById("shown").textContent);
    for (let press = 0; press < 5; press += 1) await page.keyboard.press("Backspace");
    await page.waitForTimeout(200);
    report.cleared = (await visibleRows()).length;
    report.outcome = await tabTo((at) => at.id === "by-outcome");
    await page.keyboard.press("ArrowDown");
    report.filtered = (await visibleRows()).length;
    report.chosen = await page.evaluate(() => document.getElementById("by-outcome").value);
    report.rightOutcome = await page.evaluate(() => {
      const chosen = document.getElementById("by-outcome").value;
      return [...document.querySelectorAll("#slices tbody tr")].every(
        (row) => row.hidden === (row.dataset.o !== chosen),
      );
    });
    await page.keyboard.press("ArrowUp");
    report.sorter = await tabTo((at) => at.inHead && at.tag === "BUTTON");
    await page.keyboard.press("Enter");
    report.sorted = await page.evaluate(() => {
      const head = document.querySelector("#slices th[aria-sort]");
      return head && head.getAttribute("aria-sort");
    });
    report.ascending = (await visibleRows()).slice(0, 3);
    await page.keyboard.press("Enter");
    report.descending = (await visibleRows()).slice(0, 3);
    report.sortedAgain = await page.evaluate(() =>
      document.querySelector("#slices th[aria-sort]").getAttribute("aria-sort"),
    );
    report.link = await tabTo((at) => at.inTable && !at.inHead && at.tag === "A");
    await page.keyboard.press("Enter");
    report.hash = await page.evaluate(() => location.hash);
    report.target = await page.evaluate(() => Boolean(document.querySelector(":target")));
    report.unseenFocus = stops.filter((at) => !at.outline).map((at) => `${at.tag} ${at.id} ${at.text}`).slice(0, 5);
    report.errors = seen.errors;
    return report;
  });
}

async function open() {
  return withPage({}, async (page, seen) => {
    await page.waitForTimeout(300);
    return {
      ...seen,
      strange: await page.evaluate(() => ({
        scripts: document.scripts.length,
        images: document.images.length,
        frames: document.querySelectorAll("iframe,object,embed").length,
        handlers: [...document.querySelectorAll("*")].filter((each) =>
          [...each.attributes].some((attribute) => attribute.name.startsWith("on")),
        ).length,
      })),
      text: await page.evaluate(() => document.body.innerText),
      overflow: await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
    };
  });
}

// A phone: how far the page scrolls sideways, and whether the result of the first long row is in sight.
async function narrow() {
  return withPage({ viewport: { width: 360, height: 800 } }, async (page) =>
    page.evaluate(() => {
      const inside = (each) => each.getBoundingClientRect().right <= innerWidth;
      const cells = [...document.querySelectorAll("#slices tbody tr:first-child > *")];
      return {
        overflow: document.documentElement.scrollWidth - innerWidth,
        cells: cells.length,
        inSight: cells.every(inside),
        labels: cells.map((each) => getComputedStyle(each, "::before").content),
      };
    }),
  );
}

async function plain() {
  return withPage({ javaScriptEnabled: false }, async (page, seen) => ({
    ...seen,
    text: await page.locator("body").innerText(),
    rows: await page.locator("#slices tbody tr").count(),
    tools: await page.locator("#tools").isVisible(),
    theme: await page.locator("button.theme").isVisible(),
  }));
}

async function markup() {
  const { HtmlValidate } = await import("html-validate");
  const validator = new HtmlValidate({ extends: ["html-validate:standard", "html-validate:a11y"] });
  const report = await validator.validateString(await readFile(file, "utf8"), file);
  return {
    errors: report.results.flatMap((result) =>
      result.messages.map((each) => `${each.ruleId} ${each.line}:${each.column} ${each.message}`),
    ),
  };
}

async function shot(out) {
  return withPage({}, async (page) => {
    await page.screenshot({ path: out, fullPage: false });
    return { out };
  });
}

const seen = {};
const does = { open, narrow, plain, keyboard, markup };
try {
  for (const action of actions) {
    if (["light", "dark", "print"].includes(action)) seen[action] = await axe(action);
    else if (action.startsWith("shot=")) seen.shot = await shot(action.slice(5));
    else seen[action] = await does[action]();
  }
} finally {
  await browser?.close();
}
process.stdout.write(JSON.stringify(seen));
