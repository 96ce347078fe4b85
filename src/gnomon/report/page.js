"use strict";
(() => {
  const AXIS = 64;
  const theme = JSON.parse(document.getElementById("theme").textContent);

  // The same rules as `sized` in vega.py.
  function sized(spec, width) {
    const copy = structuredClone(spec);
    if (copy.hconcat && width < 560) {
      copy.vconcat = copy.hconcat;
      delete copy.hconcat;
    }
    const views = copy.vconcat || copy.hconcat;
    if (views) {
      const across = copy.hconcat ? copy.hconcat.length : 1;
      for (const view of views) view.width = Math.floor(width / across) - AXIS;
    } else if (copy.facet && copy.spec) {
      copy.columns = width < 560 ? 1 : copy.columns || 2;
      copy.spec.width = Math.floor(width / copy.columns) - AXIS;
    } else {
      copy.width = width;
      copy.autosize = { type: "fit-x", contains: "padding" };
    }
    return copy;
  }

  const drawn = new Map();

  async function draw(figure) {
    const width = Math.floor(figure.clientWidth);
    if (!width || drawn.get(figure)?.width === width) return;
    drawn.get(figure)?.view.finalize();
    const spec = JSON.parse(document.getElementById(figure.dataset.spec).textContent);
    const canvas = figure.dataset.points > 3000;
    const place = document.createElement("div");
    const { view } = await vegaEmbed(place, sized(spec, width), {
      ast: true, // the page's policy forbids evaluating text as code
      config: theme,
      renderer: canvas ? "canvas" : "svg",
      actions: { export: true, source: false, compiled: false, editor: false },
      downloadFileName: figure.dataset.spec,
    });
    drawn.set(figure, { width, view });
    figure.replaceChildren(place);
  }

  const seen = new IntersectionObserver((entries) => {
    for (const e of entries) if (e.isIntersecting) draw(e.target);
  }, { rootMargin: "400px" });
  const resized = new ResizeObserver((entries) => {
    for (const e of entries) if (drawn.has(e.target)) draw(e.target);
  });
  for (const figure of document.querySelectorAll(".plot")) {
    seen.observe(figure);
    resized.observe(figure);
  }
})();
