# Not run: Nomad was not available. Only an HCL parser has read it.
job "app" {
  group "app" {
    count = 3

    task "app" {
      driver = "docker"

      config {
        image = "app:1"
      }

      env {
        # Time for the load balancer to remove the instance.
        DUMB_INIT_DELAY = "TERM:5s"
        # Time for the start script's programs to exit.
        DUMB_INIT_DRAIN = "10s"
      }

      kill_signal = "SIGTERM"
      # Then Nomad kills: longer than both together and the command's own time to exit. The maximum is the client's
      # max_kill_timeout, by default 30s.
      kill_timeout = "20s"
    }
  }
}
