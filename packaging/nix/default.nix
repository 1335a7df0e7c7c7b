# nix-build packaging/nix: the program, tested in the sandbox against the nats-server of nixpkgs.
# Nothing is fetched but what Cargo.lock names; a language whose consumer cannot run there is named by the tests.
{ pkgs ? import <nixpkgs> { } }:

let
  inherit (pkgs) lib;
  manifest = lib.importTOML ../../Cargo.toml;
  root = ../..;
  left-out = map (name: root + "/${name}") [ ".git" ".tools" "dist" "target" ];
in
pkgs.rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  version = manifest.package.version;

  src = lib.cleanSourceWith {
    src = root;
    filter = path: _type: !(lib.elem path (map toString left-out));
  };
  cargoLock.lockFile = ../../Cargo.lock;

  checkType = "debug";
  nativeCheckInputs = [ pkgs.nats-server ];
  preCheck = ''
    export HOME=$TMPDIR OBSERVE_TEST_NATS_SERVER=${lib.getExe pkgs.nats-server}
  '';

  postInstall = ''
    if $out/bin/observe man --help >/dev/null 2>&1; then
      mkdir -p $out/share/man/man1
      $out/bin/observe man --dir $out/share/man/man1
    fi
    if $out/bin/observe completions --help >/dev/null 2>&1; then
      mkdir -p $out/share/bash-completion/completions $out/share/zsh/site-functions $out/share/fish/vendor_completions.d
      $out/bin/observe completions bash >$out/share/bash-completion/completions/observe
      $out/bin/observe completions zsh >$out/share/zsh/site-functions/_observe
      $out/bin/observe completions fish >$out/share/fish/vendor_completions.d/observe.fish
    fi
  '';

  meta = {
    inherit (manifest.package) description;
    license = [ lib.licenses.mit lib.licenses.asl20 ];
    mainProgram = "observe";
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
}
