// What a test asks a page. No script of the page's own is needed: these run beside it.
(() => {
  const shown = (el) => el.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true });
  const name = (el) => {
    const words = (el.getAttribute("aria-label") || el.innerText || el.value || el.name || "").trim();
    return `<${el.tagName.toLowerCase()}${el.className ? "." + String(el.className.baseVal ?? el.className) : ""}> ${words.slice(0, 40)}`;
  };
  const style = (el) => {
    const s = getComputedStyle(el);
    return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow].join("|");
  };
  const around = (el) => [el, el.parentElement, el.parentElement?.parentElement].filter(Boolean);

  // Whatever Tab should stop at but frames, whose mails have stops of their own or none; in the order of the document; of a group of radios the one that is chosen.
  const stops = () => {
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
      .filter((el) => el.tabIndex >= 0 && !el.disabled && el.type !== "hidden" && shown(el));
    return all.filter((el) => {
      if (el.type !== "radio") return true;
      const group = all.filter((other) => other.type === "radio" && other.name === el.name && other.form === el.form);
      return el === (group.find((other) => other.checked) || group[0]);
    });
  };

  const wide = () => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    return [`${document.documentElement.scrollWidth} in ${room}`, ...[...document.body.querySelectorAll("*")]
      .filter((el) => { const r = el.getBoundingClientRect(); return shown(el) && r.width && (r.right > room + 1 || r.left < -1); })
      .slice(0, 6).map(name)];
  };

  globalThis.firsthand = {
    wide,
    small() {
      return [...document.querySelectorAll("button, input, select, textarea, summary, nav a")]
        .filter((el) => el.type !== "hidden" && shown(el) && !el.closest(".unseen"))
        .filter((el) => { const r = el.getBoundingClientRect(); const t = el.closest("label.choice")?.getBoundingClientRect() || r;
          return Math.max(r.width, t.width) < 24 || Math.max(r.height, t.height) < 24; })
        .map(name);
    },
    said() {
      const root = document.documentElement;
      return { lang: root.lang, dir: root.dir, title: document.title, h1: document.querySelectorAll("h1").length,
        scripts: document.scripts.length, styled: document.querySelectorAll("[style]").length };
    },
    begin() {
      this.list = stops();
      this.before = this.list.map((el) => around(el).map(style));
      this.at = this.list.map((el) => { const r = el.getBoundingClientRect(); return [r.left + scrollX, r.top + scrollY, r.right + scrollX, r.bottom + scrollY]; });
      return this.list.map(name);
    },
    // Where the focus is now: its number, and what is wrong with how it shows.
    focus() {
      const el = document.activeElement;
      // What was swapped meanwhile is known by its id.
      const index = this.list.findIndex((each) => each === el || (el.id && each.id === el.id));
      if (index < 0) return { index, wrong: "" };
      const same = around(el).every((each, nth) => style(each) === this.before[index][nth]);
      const r = el.getClientRects()[0] || el.getBoundingClientRect();
      const x = Math.min(Math.max((r.left + r.right) / 2, 1), innerWidth - 2);
      const y = Math.min(Math.max((r.top + r.bottom) / 2, 1), innerHeight - 2);
      const top = document.elementFromPoint(x, y);
      const hidden = !top || !(el.contains(top) || top.contains(el) && !["BODY", "HTML"].includes(top.tagName) || top.closest("label")?.contains(el));
      return { index, wrong: same ? "no visible focus" : hidden ? `obscured by ${top ? name(top) : "the edge"}` : "" };
    },
    // Stops that lie wholly above the one before, and not in a further column.
    jumps() {
      const rtl = document.documentElement.dir === "rtl";
      return this.list.slice(1).map((el, nth) => [el, this.list[nth], this.at[nth + 1], this.at[nth]])
        .filter(([el, before, now, then]) => before.className !== "skip" && now[3] <= then[1] && !(rtl ? now[2] <= then[0] + 1 : now[0] >= then[2] - 1))
        .map(([el, before]) => `${name(before)} then ${name(el)}`);
    },
  };
})();
