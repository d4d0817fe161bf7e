// The secret of a link stands behind the #: it goes into the form, and out of the address and the browser's history.
const secret = decodeURIComponent(location.hash.slice(1));
if (/^panofed_[A-Za-z0-9_-]{43}$/.test(secret)) {
  document.querySelector("input[name=secret]").value = secret;
  document.getElementById("from-link").hidden = false;
  document.querySelector("form.fields button").focus();
}
// the cookie is kept only where a link's one use is not wasted: over https, or on the reader's own machine
document.getElementById("needs-https").hidden = window.isSecureContext;
if (location.hash) history.replaceState(null, "", location.pathname + location.search);
