# Not run: Nomad was not at hand. It was read by an HCL parser, no more.
job "app" {
  group "app" {
    count = 3

    task "app" {
      driver = "docker"

      config {
        image = "app:1"
      }

      env {
        # The load balancer has so long to take the instance out.
        DUMB_INIT_DELAY = "TERM:5s"
        # The start script's programs have so long to sign off.
        DUMB_INIT_DRAIN = "10s"
      }

      kill_signal = "SIGTERM"
      # After so long Nomad kills: more than both together, and what the command itself takes to end. The client's max_kill_timeout, 30s unless it says otherwise, is the most.
      kill_timeout = "20s"
    }
  }
}
