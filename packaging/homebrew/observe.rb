# A template: `make dist` writes dist/observe.rb with the address, the version and the checksum of the archive it made.
class Observe < Formula
  desc "Tells what your processes did, exactly once"
  url "@URL@/observe-@VERSION@-source.tar.gz"
  version "@VERSION@"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    if quiet_system(bin/"observe", "man", "--help")
      man1.mkpath
      system bin/"observe", "man", "--dir", man1
    end
    if quiet_system(bin/"observe", "completions", "--help")
      generate_completions_from_executable(bin/"observe", "completions")
    end
  end

  service do
    run [opt_bin/"observe", "adapter"]
    keep_alive successful_exit: false
    log_path var/"log/observe.log"
    error_log_path var/"log/observe.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/observe --version")
    assert_match "$id", shell_output("#{bin}/observe schema event")
  end
end
