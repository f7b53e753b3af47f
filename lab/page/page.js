
"use strict";
(function () {
  var body = document.body, layer = +body.dataset.layer, colours = +body.dataset.colours, styles = +body.dataset.styles;
  var words = Array.prototype.slice.call(document.querySelectorAll(".text span"));
  var select = document.getElementById("layer"), panel = document.getElementById("word");
  var buttons = Array.prototype.slice.call(document.querySelectorAll("#legend button"));
  var only = -1, at = null;

  function look(e) { return "c" + e % colours + " s" + Math.floor(e / colours) % styles; }

  // routing is [[expert, gate in thousandths, …] by layer], or null.
  function routing(word) {
    if (word.dataset.r === undefined) { return null; }
    return word.dataset.r.split(";").map(function (part) { return part === "" ? [] : part.split(" ").map(Number); });
  }

  function paint() {
    var count = buttons.map(function () { return 0; }), all = 0;
    words.forEach(function (word) {
      var r = routing(word), first = r && r[layer].length ? r[layer][0] : -1;
      word.className = first < 0 ? "" : look(first) + (first === only ? " pick" : "");
      if (first < 0) { delete word.dataset.e; return; }
      word.dataset.e = first;
      count[first]++;
      all++;
    });
    document.getElementById("shown").textContent = layer;
    buttons.forEach(function (b, e) {
      b.nextElementSibling.textContent = (100 * count[e] / Math.max(all, 1)).toFixed(1) + " %";
      b.setAttribute("aria-pressed", e === only);
    });
    body.classList.toggle("only", only >= 0);
    document.querySelectorAll("#heat tbody tr").forEach(function (row, l) { row.className = l === layer ? "on" : ""; });
    if (at) { show(at); }
  }

  function show(word) {
    if (at) { at.classList.remove("at"); }
    at = word;
    at.classList.add("at");
    var rows = panel.querySelector("tbody"), r = routing(word);
    panel.hidden = false;
    panel.querySelector("p").textContent = "“" + word.textContent.replace(/\n/g, "") + "”" + (r ? "" : ": no routing, the token was not computed");
    rows.textContent = "";
    (r || []).forEach(function (pairs, l) {
      var row = rows.insertRow(), head = document.createElement("th"), cell;
      row.className = l === layer ? "on" : "";
      head.scope = "row";
      head.textContent = "layer " + l;
      row.appendChild(head);
      cell = row.insertCell();
      for (var i = 0; i < pairs.length; i += 2) {
        var chip = document.createElement("b"), gate = document.createElement("span");
        chip.className = look(pairs[i]);
        chip.textContent = pairs[i];
        gate.textContent = (pairs[i + 1] / 10).toFixed(1) + " %";
        cell.appendChild(chip);
        cell.appendChild(gate);
      }
    });
  }

  function go(i) {
    var word = words[Math.min(Math.max(i, 0), words.length - 1)];
    words.forEach(function (w) { if (w.tabIndex === 0) { w.tabIndex = -1; } });
    word.tabIndex = 0;
    word.focus();
  }

  words.forEach(function (word) { word.removeAttribute("title"); });
  if (words.length) { words[0].tabIndex = 0; }
  buttons.forEach(function (b, e) {
    b.disabled = false;
    b.setAttribute("aria-label", "expert " + e + ", show only its words");
    b.addEventListener("click", function () { only = only === e ? -1 : e; paint(); });
  });
  select.addEventListener("change", function () { layer = select.selectedIndex; paint(); });
  document.querySelector("main").addEventListener("mouseover", function (ev) { if (ev.target.matches(".text span")) { show(ev.target); } });
  document.querySelector("main").addEventListener("focusin", function (ev) { if (ev.target.matches(".text span")) { show(ev.target); } });
  document.querySelector("main").addEventListener("keydown", function (ev) {
    var i = words.indexOf(document.activeElement), step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[ev.key];
    if (i < 0 || ev.ctrlKey || ev.altKey || ev.metaKey) { return; }
    if (ev.key === "Home") { go(0); } else if (ev.key === "End") { go(words.length - 1); } else if (step) { go(i + step); } else { return; }
    ev.preventDefault();
  });
  document.addEventListener("keydown", function (ev) {
    if (ev.key === "Escape") { panel.hidden = true; if (at) { at.classList.remove("at"); at = null; } }
  });
  document.getElementById("choice").hidden = document.getElementById("hint").hidden = false;
})();
