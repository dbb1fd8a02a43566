const seen = Number(document.body.dataset.mails);
setInterval(async () => {
  const mails = await (await fetch("mail")).json();
  if (mails.length !== seen && !String(getSelection())) location.reload();
}, 2000);
