"use strict";
(() => {
  // The page's accent, which reads on light and on dark paper.
  const accent = getComputedStyle(document.querySelector(".gnomon")).getPropertyValue("--accent").trim();
  const BLUE = [1, 3, 5].map((at) => parseInt(accent.slice(at, at + 2), 16));
  const RED = [205, 78, 60], ORANGE = [224, 140, 50];

  function element(tag, kind, text) {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text; // what a model or a data set wrote is never markup
    return made;
  }

  const shown = (token) => `“${token.replaceAll("\n", "↵")}”`;
  const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);
  const paint = ([r, g, b], strength) => `rgb(${r} ${g} ${b} / ${Math.min(1, strength).toFixed(3)})`;
  const sum = (values) => values.reduce((a, b) => a + b, 0);

  // A size that nearly all values stay below, so that one outlier does not bleach the rest.
  function reach(values) {
    const sizes = values.map(Math.abs).sort((a, b) => a - b);
    return sizes[Math.floor(0.95 * (sizes.length - 1))] || 1e-9;
  }

  // The bytes of a picture: 255 less 255 times the root of attention.
  function bytes(image) {
    const canvas = element("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const grey = new Uint8Array(rgba.length / 4);
    for (let i = 0; i < grey.length; i++) grey[i] = rgba[4 * i];
    return grey;
  }

  function draw(canvas, text, layer, head) {
    const size = text.tokens.length, width = size * text.heads[0].length;
    canvas.width = canvas.height = size;
    const context = canvas.getContext("2d"), tile = context.createImageData(size, size);
    for (let t = 0; t < size; t++) {
      for (let s = 0; s < size; s++) {
        const at = 4 * (t * size + s);
        tile.data.set(BLUE, at);
        tile.data[at + 3] = 255 - text.grey[(layer * size + t) * width + head * size + s];
      }
    }
    context.putImageData(tile, 0, 0);
  }

  function choice(label, names, chosen) {
    const made = element("label", "", `${label} `), select = element("select");
    for (const name of names) select.append(element("option", "", name));
    select.addEventListener("change", () => chosen(select.selectedIndex, select.value));
    made.append(select);
    return made;
  }

  async function start(place) {
    const data = JSON.parse(document.getElementById(`${place.id}-data`).textContent);
    const images = [...place.querySelectorAll("img")];
    await Promise.all(images.map((image) => image.decode()));
    data.texts.forEach((text, i) => { text.grey = bytes(images[i]); });
    const orders = Object.keys(data.scores);
    const state = { text: data.texts[0], order: orders[0], colour: "loss", head: null, at: null, pinned: null };

    const controls = element("div", "controls"), strip = element("div", "tokens"), said = element("div", "said");
    const large = element("div", "large"), canvas = element("canvas"), row = element("i", "row"), column = element("i", "column");
    const grid = element("div", "heads"), both = element("div", "both"), legend = element("div", "legend");
    strip.tabIndex = 0;
    strip.setAttribute("aria-label", "tokens; arrow keys choose one");
    large.append(canvas, row, column);
    both.append(large, said);
    const colours = ["loss", ...(data.before ? [`loss less that of ${data.before}`] : []), "what the chosen head adds"];
    if (data.texts.length > 1) controls.append(choice("text", data.texts.map((t) => t.label), (i) => { state.text = data.texts[i]; state.at = state.pinned = null; all(); }));
    controls.append(choice("colour tokens by", colours, (i, name) => { state.colour = name; light(); }));
    controls.append(choice("order heads by", [...orders, "layer"], (_, name) => { state.order = name; heads(); }));
    place.replaceChildren(controls, strip, legend, both, grid);

    const attention = (t, s) => {
      const { text, head: [layer, head] } = state, size = text.tokens.length;
      return ((255 - text.grey[(layer * size + t) * size * text.heads[0].length + head * size + s]) / 255) ** 2;
    };

    function ordered() {
      const score = data.scores[state.order];
      const found = state.text.heads.flatMap((some, layer) => some.map((_, head) => [layer, head]));
      return score ? found.sort((a, b) => score[b[0]][b[1]] - score[a[0]][a[1]]) : found;
    }

    function heads() {
      grid.replaceChildren(...ordered().map(([layer, head]) => {
        const tile = element("button", "head"), picture = element("canvas");
        draw(picture, state.text, layer, head);
        const score = data.scores[state.order]?.[layer][head];
        tile.append(picture, element("b", "", `${layer}.${head}`), element("span", "", score === undefined ? "" : score.toFixed(2)));
        tile.dataset.head = `${layer}.${head}`;
        tile.addEventListener("click", () => choose([layer, head]));
        return tile;
      }));
      mark();
    }

    function mark() {
      for (const tile of grid.children) tile.setAttribute("aria-pressed", String(tile.dataset.head === state.head.join(".")));
    }

    function choose(head) {
      state.head = head;
      draw(canvas, state.text, ...head);
      mark();
      light();
    }

    // Token colours, the cross over the large picture and the words beside it, for what is under the pointer.
    function light() {
      const { text, at } = state, [layer, head] = state.head, size = text.tokens.length;
      const adds = text.heads[layer][head];
      const differs = text.before && text.loss.map((v, i) => v - text.before[i]);
      const [values, two] = state.colour === "loss" ? [text.loss, false] : state.colour.startsWith("loss") ? [differs, true] : [adds, true];
      const most = reach(values);
      [...strip.children].forEach((span, i) => {
        const value = values[i - 1];
        let colour = "transparent";
        if (at !== null) colour = i <= at ? paint(BLUE, Math.sqrt(attention(at, i))) : "transparent";
        else if (i && two) colour = paint((state.colour.startsWith("loss") ? value > 0 : value < 0) ? RED : BLUE, Math.abs(value) / most * 0.8);
        else if (i) colour = paint(ORANGE, value / most * 0.8);
        span.style.background = colour;
        span.classList.toggle("at", i === at);
      });
      legend.textContent = at !== null ? `where head ${layer}.${head} looks from ${shown(text.tokens[at])}`
        : two ? (state.colour.startsWith("loss") ? `nats: blue is better than ${data.before}, red worse; full colour ${most.toFixed(2)}` : `logit of the token: blue is added by head ${layer}.${head}, red taken; full colour ${most.toFixed(2)}`)
        : `nats a token costs; full colour ${most.toFixed(2)}`;
      row.hidden = at === null;
      column.hidden = state.key === undefined || at === null;
      row.style.top = `${100 * at / size}%`;
      column.style.left = `${100 * state.key / size}%`;
      row.style.height = column.style.width = `${100 / size}%`;
      tell();
    }

    function tell() {
      const { text, at, key } = state, [layer, head] = state.head;
      const lines = [element("h4", "", `head ${layer}.${head}`)];
      if (at === null) {
        const adds = text.heads[layer][head];
        lines.push(element("p", "", `Adds ${signed(sum(adds) / adds.length)} to the next token's logit on average over this text. Point at a token, or at the picture.`));
        said.replaceChildren(...lines);
        return;
      }
      if (key !== undefined) lines.push(element("p", "", `${shown(text.tokens[at])} looks at ${shown(text.tokens[key])}: ${attention(at, key).toFixed(3)}`));
      const keys = [...Array(at + 1).keys()].sort((a, b) => attention(at, b) - attention(at, a)).slice(0, 4);
      lines.push(element("p", "", `From ${shown(text.tokens[at])} (${at}) it looks at ${keys.map((s) => `${shown(text.tokens[s])} (${s}) ${attention(at, s).toFixed(2)}`).join(", ")}.`));
      if (at < text.loss.length) lines.push(...next(text, at, layer, head));
      said.replaceChildren(...lines);
    }

    // What is said of the token behind the one pointed at.
    function next(text, at, layer, head) {
      const than = text.before ? `, ${signed(text.loss[at] - text.before[at])} beside ${data.before}` : "";
      const raises = text.raised[layer][head][at].map((i) => shown(text.words[i])).join(", ");
      const parts = [
        ...text.heads.flatMap((some, l) => some.map((v, h) => [`${l}.${h}`, v[at], [l, h]])),
        ...Object.entries(text.parts).map(([name, v]) => [name, v[at]]),
      ].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 8);
      const most = Math.abs(parts[0][1]) || 1;
      const bars = element("div", "bars");
      for (const [name, value, its] of parts) {
        const label = element(its ? "button" : "span", "", name), bar = element("i");
        if (its) label.addEventListener("click", () => choose(its));
        bar.style.width = `${50 * Math.abs(value) / most}%`;
        bar.style.background = paint(value < 0 ? RED : BLUE, 0.8);
        bars.append(label, bar, element("em", "", signed(value)));
      }
      return [
        element("p", "", `Next comes ${shown(text.tokens[at + 1])}: ${text.loss[at].toFixed(2)} nats${than}. The head adds ${signed(text.heads[layer][head][at])} to its logit, and raises ${raises} most.`),
        element("p", "", "The largest shares in its logit:"), bars,
      ];
    }

    function point(at, key) {
      [state.at, state.key] = [at, key];
      light();
    }

    const rest = () => point(state.pinned, undefined);
    const place_of = (event) => [...strip.children].indexOf(event.target.closest("span"));
    strip.addEventListener("pointerover", (event) => { const at = place_of(event); if (at >= 0) point(at); });
    strip.addEventListener("pointerleave", rest);
    strip.addEventListener("click", (event) => { const at = place_of(event); state.pinned = at < 0 || at === state.pinned ? null : at; rest(); });
    strip.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      state.pinned = Math.max(0, Math.min(state.text.tokens.length - 1, (state.pinned ?? -1) + step));
      rest();
    });
    const under = (event) => {
      const box = canvas.getBoundingClientRect(), size = state.text.tokens.length;
      const [t, s] = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width].map((x) => Math.max(0, Math.min(size - 1, Math.floor(x * size))));
      return [t, Math.min(s, t)];
    };
    large.addEventListener("pointermove", (event) => point(...under(event)));
    large.addEventListener("pointerleave", rest);
    large.addEventListener("click", (event) => { state.pinned = under(event)[0]; });

    function all() {
      strip.replaceChildren(...state.text.tokens.map((token) => element("span", "", token.replaceAll("\n", "↵\n"))));
      state.head ??= ordered()[0];
      heads();
      choose(state.head);
    }
    all();
  }

  for (const place of document.querySelectorAll('.view[data-script="patterns"]')) start(place);
})();
